from .config import SoupConfig as SoupConfig
from .console import print_soup as print_soup
from .run import Soup as Soup
from .run import make_soup as make_soup
