from .console import print_partitions as print_partitions
from .files import names_many as names_many
from .run import PartitionedPrediction as PartitionedPrediction
from .run import predict_partitions as predict_partitions
