from .format import is_checkpoint as is_checkpoint
from .format import require_intact as require_intact
from .format import save_tensors as save_tensors
from .format import write as write
from .rebuild import build_tokenizer as build_tokenizer
from .saving import content as content
from .saving import load as load
from .saving import save as save
