from .config import TuningConfig as TuningConfig
from .run import tune as tune
