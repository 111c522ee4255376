"""Tabulate a benchmark's results: medians, with the minimum and maximum of the rounds."""

from emotion.reporting.benchmark_schema import (
    BenchmarkReport,
    CompressionSpeed,
    DeviceScaling,
    PredictionSpeed,
    Scaling,
    ServingSpeed,
    Spread,
    TrainingSpeed,
)
from emotion.reporting.tables import Table


def benchmark_tables(report: BenchmarkReport) -> dict[str, Table]:
    """Tabulate each part that was measured, by the name of its field in the report."""
    tables = {}
    if report.training:
        tables["training"] = _training(report.model_name, report.training)
    if report.prediction:
        tables["prediction"] = _prediction(report.model_name, report.prediction)
    if report.startup_seconds:
        rows = [(name, _range(spread, ".2f")) for name, spread in report.startup_seconds.items()]
        tables["startup_seconds"] = Table("from the command to", ("", "seconds"), rows)
    if report.scaling:
        tables["scaling"] = _scaling(report.scaling)
    if report.devices:
        tables["devices"] = _devices(report.devices)
    if report.compression:
        tables["compression"] = _compression(report, report.compression)
    if report.serving:
        tables["serving"] = _serving(report.serving)
    return tables


def utilisation_note(report: BenchmarkReport) -> str:
    """Say how much of the machine's peak training used; "" if training was not measured."""
    speed = report.training
    if speed is None:
        return ""
    return (
        f"This project's model FLOP utilisation is {speed.utilisation:.0%} of the"
        f" {speed.peak_flops_per_second / 1e9:,.0f} GFLOP/s of a large matrix product,"
        f" counting 6 operations a token and parameter outside the embeddings."
    )


def _training(model_name: str, speed: TrainingSpeed) -> Table:
    title = f"fine-tuning {model_name}, {speed.rows:,} rows, {speed.updates} updates"
    rows = [
        (side.label, _range(side.rows_per_second, ".1f"), _range(side.speedup_of_ours, ".2f"))
        for side in speed.sides.values()
    ]
    return Table(title, ("", "rows/s", "this project is faster by"), rows)


def _prediction(model_name: str, speed: PredictionSpeed) -> Table:
    rows = [
        (
            side.label,
            _range(side.rows_per_second, ".0f"),
            _range(side.speedup_of_ours, ".2f"),
            _range(side.single_ms, ".2f"),
            f"{side.agreement:.1%}",
        )
        for side in speed.sides.values()
    ]
    rows.append(("this project, from file to file", _range(speed.file_rows_per_second, ".0f"), "", "", ""))
    headings = ("", "rows/s", "this project's .pt is faster by", "one text, ms", "same labels")
    return Table(f"predicting with {model_name}, {speed.rows:,} rows", headings, rows)


def _scaling(curves: dict[str, Scaling]) -> Table:
    rows = []
    for name, curve in curves.items():
        points = zip(curve.sizes, curve.seconds, strict=True)
        costs = ", ".join(f"{seconds:.1f} at {size:,g}" for size, seconds in points)
        rows.append((name.replace("_", ", more "), costs, f"{curve.slope:.2f}"))
    return Table("cost", ("", "seconds", "slope of the logarithms"), rows)


def _devices(scaling: DeviceScaling) -> Table:
    rows = [
        ("one process", _range(scaling.one_process_seconds, ".1f"), ""),
        ("two processes", _range(scaling.two_processes_seconds, ".1f"), _range(scaling.speedup, ".2f")),
    ]
    return Table(f"{scaling.rows:,} rows, one thread each", ("", "seconds", "faster by"), rows)


def _compression(report: BenchmarkReport, compression: CompressionSpeed) -> Table:
    rows = [
        (
            side.label if side.device.startswith(report.device) else f"{side.label} ({side.device})",
            f"{side.size_mb:.1f}",
            f"{side.size_ratio:.1%}",
            _range(side.single_ms, ".1f"),
            _range(side.speedup_batch_1, ".2f"),
            _range(side.speedup, ".2f"),
        )
        for side in compression.sides.values()
    ]
    speeds = ("one text, ms", "faster than transformers by", f"in batches of {report.batch_size} by")
    title = f"{report.model_name}, texts of {compression.tokens:.0f} tokens"
    return Table(title, ("", "MB", "size", *speeds), rows)


def _serving(speed: ServingSpeed) -> Table:
    rows = []
    for side in speed.sides.values():
        added = [_range(each, ".2f") if each is not None else "" for each in (side.added_p50_ms, side.added_p99_ms)]
        shares = ["" if each is None else f"{each.median:.0%}" for each in (side.share_of_batches, side.share_of_model)]
        latency = _range(side.p50_ms, ".2f"), _range(side.p99_ms, ".2f")
        rows.append((side.label, *latency, *added, _range(side.rows_per_second, ".0f"), *shares))
    alone = ("p50, ms", "p99, ms", "p50 beyond the model's", "p99 beyond it")
    together = (f"{speed.clients} clients: texts/s", f"of the model's, {speed.clients} at a time", "all at once")
    return Table("one client", ("server", *alone, *together), rows)


def _range(spread: Spread, form: str) -> str:
    if spread.minimum == spread.maximum:
        return format(spread.median, form)
    return f"{spread.median:{form}} ({spread.minimum:{form}}-{spread.maximum:{form}})"
