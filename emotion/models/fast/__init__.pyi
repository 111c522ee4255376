from .allocator import keep_freed_memory as keep_freed_memory
from .bert_layer import BERT_TYPES as BERT_TYPES
from .compiled import padding_multiple as padding_multiple
from .from_state import model_from_state as model_from_state
from .onnx_session import SLOW_FUSIONS as SLOW_FUSIONS
from .onnx_session import inference_session as inference_session
from .speed_up import speed_up_ as speed_up_
from .speed_up import speed_up_like_ as speed_up_like_
