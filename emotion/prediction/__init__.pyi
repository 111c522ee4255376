from .config import PredictConfig as PredictConfig
from .inference import Prediction as Prediction
from .inference import predict_csv as predict_csv
from .inference import run_inference as run_inference
from .latency import latencies_ms as latencies_ms
from .latency import latency_ms_per_sample as latency_ms_per_sample
from .latency import spread_batches as spread_batches
