from .metrics import ClassScores as ClassScores
from .metrics import Evaluation as Evaluation
from .metrics import classification_metrics as classification_metrics
from .metrics import evaluate as evaluate
from .significance import mcnemar_p as mcnemar_p
