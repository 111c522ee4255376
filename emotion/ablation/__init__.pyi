from .config import AblationConfig as AblationConfig
from .run import ablate as ablate
