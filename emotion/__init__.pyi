from .compression import compress_and_evaluate as compress_and_evaluate
from .prediction import run_inference as run_inference
from .training import main as main

__version__: str
