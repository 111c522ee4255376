"""Made-up reports of compressions."""

from emotion.evaluation import evaluate
from emotion.reporting import (
    CompressionReport,
    Environment,
    EvaluationData,
    FileRecord,
    Latency,
    Percentiles,
    Variant,
    ranked,
)
from support.labels import EMOTION6


def variant(
    size_mb: float = 90.0, speedup: float = 1.0, macro_f1: float = 0.9, measured: str = "2030-01-01T00:00:00+00:00"
) -> Variant:
    evaluation = evaluate([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 4], EMOTION6.names)
    percentiles = Percentiles(p50_ms=32.0 / speedup, p90_ms=40.0 / speedup, p99_ms=50.0 / speedup)
    return Variant(
        file="model.pt",
        sha256="v",
        steps=["prune"],
        settings={"prune": {"amount": 0.3}},
        device="cpu",
        size_mb=size_mb,
        memory_mb=size_mb,
        size_ratio=size_mb / 90.0,
        latency_ms_per_sample=1 / speedup,
        speedup=speedup,
        speedup_batch_1=2 * speedup,
        latency=Latency(batch_1=percentiles, batch_32=percentiles),
        accuracy=macro_f1,
        macro_f1=macro_f1,
        per_class=evaluation.per_class,
        sparsity=0.3,
        sparsity_total=0.1,
        agreement_with_original=0.99,
        mcnemar_p=0.5,
        measured=measured,
    )


def compression_report(
    variants: dict[str, Variant], weights: str = "w", data: str = "d", failed: dict[str, str] | None = None
) -> CompressionReport:
    variants = {"original": variant(), **variants}
    return CompressionReport(
        model_name="MiniLM",
        weights=FileRecord(path="best_MiniLM.pt", sha256=weights),
        data=EvaluationData(path="v.csv", sha256=data, rows=6),
        environment=Environment(versions={"torch": "2"}, hardware={"cores": 2}, git_commit=None),
        variants=variants,
        failed=failed or {},
        ranking=ranked(variants),
    )
