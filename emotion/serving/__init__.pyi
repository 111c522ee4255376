from .app import create_app as create_app
from .config import ServeConfig as ServeConfig
from .run import TOKEN as TOKEN
from .run import listen as listen
from .run import new_server as new_server
from .run import serve as serve
