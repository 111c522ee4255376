"""Schema of ``emotion_classification_report.json``; a report is checked against it when read and when written."""

from statistics import fmean
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emotion.data import validation_part
from emotion.evaluation import Calibration, ClassScores, ErrorDetection, MacroF1Difference, ScoreIntervals

ACCURACY_TARGET = 0.80
SIGNIFICANCE = 0.05
"""P-values below it tell a difference from chance."""

Share = Field(ge=0, le=1)


class Strict(BaseModel):
    """A part of a report: no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Report(Strict):
    """A whole report file."""

    schema_version: int

    @classmethod
    def upgraded(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Turn the content of a file of an earlier version into that of the current version.

        New fields have defaults, so a change of the number is enough until a field changes its meaning.
        """
        return {**content, "schema_version": cls.model_fields["schema_version"].default}


class RowsFile(Strict):
    """Row-level predictions in a file (:mod:`emotion.reporting.rows`)."""

    file: str
    """Path, relative to the report's folder or, for a run, to the run's own folder."""
    sha256: str


class EpochRecord(Strict):
    """One validation of a training."""

    epoch: int | float = Field(gt=0)
    """Epochs done; not a whole number where the validation came within an epoch."""
    train_loss: float
    """Mean over the epoch's updates so far."""
    val_loss: float
    val_accuracy: float = Share
    val_macro_f1: float = Share


class DataFile(Strict):
    """A CSV as it was when the run read it."""

    path: str
    sha256: str
    rows: int
    label_counts: dict[str, int]
    corpora: "dict[str, DataFile]" = {}
    """The files by name, if the rows come from several; ``path`` then holds all paths, with commas."""


class DataRecord(Strict):
    """The CSVs of a run."""

    train: DataFile
    validation: DataFile


class Environment(Strict):
    """The versions, hardware and commit that a run ran on."""

    versions: dict[str, str]
    hardware: dict[str, str | int]
    git_commit: str | None


class ScoresRecord(Strict):
    """A classifier's scores on one labelled CSV."""

    accuracy: float = Share
    macro_f1: float = Share
    per_class: dict[str, ClassScores]
    confusion_matrix: list[list[int]]
    """Rows = truth, columns = prediction, in the order of the labels."""
    intervals: ScoreIntervals | None = None
    """95 % bootstrap intervals over rows; None in reports of earlier versions."""
    calibration: Calibration | None = None
    """None in reports of earlier versions."""

    @property
    def rows(self) -> int:
        """The number of rows that were scored."""
        return sum(map(sum, self.confusion_matrix))


class ShiftRecord(Strict):
    """How unlike a set is to the text that a model was fitted to, and what the model knows of it."""

    unfamiliar: float = Share
    """Share of its rows that are unfamiliar."""
    told_apart: float | None = Field(default=None, ge=0, le=1)
    """AUROC at which the distance tells its rows from those of validation; None where those are not at hand."""
    mean_confidence: float = Share
    errors: ErrorDetection | None
    """How well confidence tells wrong labels; None if all are wrong, or none is."""


class EvaluationRecord(ScoresRecord):
    """A finished model's scores on an evaluation set, which chose nothing."""

    data: DataFile
    reads: int = Field(ge=1)
    """How often the set was read for this model when it was scored, that time included."""
    predictions: RowsFile | None = None
    shift: ShiftRecord | None = None
    """None for models that cannot tell, and in reports of earlier versions."""


class BaselineRecord(ScoresRecord):
    """A simple classifier, trained and scored on the rows of a fine-tuned model."""

    train_seconds: float
    difference: MacroF1Difference
    """Macro F1 of the fine-tuned model minus this one's, on the same rows."""
    mcnemar_p: float = Share
    """P-value of McNemar's exact test that both err equally often."""
    evaluations: dict[str, ScoresRecord] = {}
    """Scores on the evaluation sets, by name."""


class ModelEntry(ScoresRecord):
    """A model's kept run; its scores are on validation, computed with the weights in ``checkpoint``."""

    target_met: bool
    """``accuracy`` >= ``accuracy_target``."""
    corpora: dict[str, ScoresRecord] = {}
    """Scores on each validation CSV, by name, if there are several; the entry's own are over all their rows."""
    evaluations: dict[str, EvaluationRecord] = {}
    """Scores on the evaluation sets, by name: ``test`` and those of ``data.extra``."""
    baselines: dict[str, BaselineRecord] = {}
    """Simple classifiers on the same rows, by name."""
    best_epoch: int | float
    """Epochs done when the weights were kept; see :attr:`EpochRecord.epoch`."""
    latency_ms_per_sample: float = Field(gt=0)
    """Texts to labels, per text: median over up to 16 batches of 32 validation rows."""
    model_size_mb: float = Field(gt=0)
    """Parameters and buffers in memory, 1e6 bytes."""
    num_parameters: int
    train_seconds: float
    """The fit alone, validation epochs included."""
    history: list[EpochRecord]
    checkpoint: str
    """File name, in the report's folder."""
    checkpoint_sha256: str
    predictions: RowsFile | None = None
    """Predictions of the validation rows; None in reports of version 1."""
    run_id: str
    config: dict[str, Any]
    data: DataRecord
    environment: Environment

    @property
    def selection_f1(self) -> float:
        """What models are chosen by: macro F1 on validation, of several CSVs the mean of theirs."""
        return fmean(each.macro_f1 for each in self.corpora.values()) if self.corpora else self.macro_f1


class SetScores(Strict):
    """What a run's record keeps of its scores on a CSV."""

    data_sha256: str
    accuracy: float = Share
    macro_f1: float = Share
    predictions: RowsFile | None = None
    """Predictions of its rows, which each run keeps in its own folder."""


class RunRecord(Strict):
    """A run, kept or not."""

    run_id: str
    """Folder of the run's logs and resume checkpoints."""
    model_name: str
    sweep: str | None
    """Folder of the sweep that the run belongs to."""
    seed: int
    recipe: str | None = None
    """Digest of the settings and CSVs, except the seed: runs of the same recipe differ by chance alone. None in reports
    of earlier versions."""
    accuracy: float = Share
    macro_f1: float = Share
    train_seconds: float
    finished: str
    """Time in UTC, ISO 8601."""
    validation_sha256: str
    kept: bool
    """Whether ``best_<Name>.pt`` came from this run when it ended."""
    corpora: dict[str, SetScores] = {}
    """Scores on each validation CSV, by name, if there are several."""
    evaluations: dict[str, SetScores] = {}
    """Scores on the evaluation sets, by name."""
    predictions: RowsFile | None = None
    """Predictions of the validation rows, which each run keeps in its own folder; None for runs of version 1."""

    @property
    def scores_by_set(self) -> dict[str, SetScores]:
        """Scores by the name of the CSV, as in reports: the parts of validation, and the evaluation sets."""
        return {validation_part(name): each for name, each in self.corpora.items()} | self.evaluations

    @property
    def selection_f1(self) -> float:
        """What runs are chosen by: macro F1 on validation, of several CSVs the mean of theirs."""
        return fmean(each.macro_f1 for each in self.corpora.values()) if self.corpora else self.macro_f1


class Comparison(Strict):
    """Two models on the same rows."""

    first: str
    second: str
    data: str
    """``validation`` or the name of an evaluation set."""
    rows: int
    difference: MacroF1Difference
    """Macro F1 of the first minus the second's."""
    mcnemar_p: float = Share
    """P-value of McNemar's exact test that both err equally often."""
    holm_p: float = Share
    """The same, corrected for all comparisons on these rows."""
    difference_holm_p: float | None = Field(default=None, ge=0, le=1)
    """P-value of no difference in macro F1, corrected likewise; None in reports of earlier versions."""
    rows_needed: int | None
    """Rows at which a difference of this size would be found four times in five; None if there is no difference."""

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval of the difference leaves zero out, also in view of the number of comparisons."""
        if self.difference.interval.low <= 0 <= self.difference.interval.high:
            return False
        return self.difference_holm_p is None or self.difference_holm_p < SIGNIFICANCE


class RunFile(Report):
    """``emotion_runs/<run>.json``: a run that was published, from which the report can be collected again."""

    schema_version: Literal[2] = 2
    run: RunRecord
    entry: ModelEntry


class TrainingReport(Report):
    """``emotion_classification_report.json``, collected from all runs of an output folder."""

    schema_version: Literal[3] = 3
    best_model: str | None = None
    """Name of the model with the highest macro F1 among the entries with the latest run's validation data."""
    accuracy_target: float = ACCURACY_TARGET
    runs: list[RunRecord] = []
    models: dict[str, ModelEntry] = {}
    comparisons: list[Comparison] = []
    """All pairs of models that were scored on the same rows, the best model's first."""
