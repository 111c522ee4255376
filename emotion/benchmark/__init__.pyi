from .config import BenchmarkConfig as BenchmarkConfig
from .run import benchmark as benchmark
