from .config import ExportPageConfig as ExportPageConfig
from .export import export_page as export_page
from .model import description as description
from .rendering import server_page as server_page
