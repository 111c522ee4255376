from .material import Material as Material
from .material import ModelMaterial as ModelMaterial
from .material import ScoredRows as ScoredRows
from .page import render_page as render_page
