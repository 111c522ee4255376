from .chain import Chains as Chains
from .config import CompressConfig as CompressConfig
from .run import compress as compress
from .run import compress_and_evaluate as compress_and_evaluate
from .steps.onnx import export_onnx as export_onnx
from .steps.onnx_int8 import export_onnx_int8 as export_onnx_int8
