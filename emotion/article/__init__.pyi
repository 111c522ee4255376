from .config import ExportConfig as ExportConfig
from .hub_folder import export as export
from .material import Material as Material
from .material import ModelMaterial as ModelMaterial
from .material import ScoredRows as ScoredRows
from .model_card import model_card as model_card
