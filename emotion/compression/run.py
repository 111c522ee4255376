"""Compress a fine-tuned model by each requested technique, and report what that cost and brought."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from emotion.compression.chain import Chains
from emotion.compression.config import CompressConfig
from emotion.compression.measure import Candidate, measure
from emotion.compression.results import CompressionResults
from emotion.compression.sources import find_weights, load_original, read_data
from emotion.compression.steps.registry import STEPS
from emotion.compression.techniques import chains, known_techniques
from emotion.config import compose_config, resolve
from emotion.errors import UserError, first_line, of_file
from emotion.files import sha256
from emotion.isolation import isolated
from emotion.jobs import RECORD, Job, digests, finished_notes, job_identity
from emotion.models import Predictor, pick_device
from emotion.reporting import (
    BASELINE,
    CompressionReport,
    Environment,
    EvaluationData,
    FileRecord,
    count_read,
    git_commit,
    hardware,
    ranked,
    read_compression_report,
    versions,
)
from emotion.scoring import read_sets
from emotion.training import CHECKPOINTS

log = logging.getLogger(__name__)


def compress_and_evaluate(
    weights: str,
    csv: str,
    output_dir: str | None = None,
    technique: str = "all",
    *,
    show: Callable[[CompressionReport, Path], None] | None = None,
) -> dict[str, Any]:
    """Compress a fine-tuned model and measure its quality, size and speed against the original's.

    Args:
        weights: A fine-tuned ``.pt`` checkpoint.
        csv: CSV with ``text`` and ``label`` that quality is measured on.
        output_dir: Where ``compression_results/`` goes; None = the folder of ``weights``.
        technique: ``"prune"``, ``"quantize"``, ``"combined"``, ``"all"`` or another of ``conf/technique``.
        show: Called with the report and its folder, even if a technique failed.

    Returns:
        The content of ``compression_report.json``.

    Raises:
        UserError: An input cannot be used, or a technique failed; the others are finished first.
    """
    if technique not in (known := known_techniques()):
        raise UserError(f"technique: must be one of {', '.join(known)}, found {technique!r}")
    config = compose_config("compress", [f"technique={technique}"])
    config.weights, config.data.validation, config.output_dir = weights, csv, output_dir
    return compress(resolve(config, CompressConfig), show=show).model_dump()


@isolated()
def compress(
    config: CompressConfig,
    overrides: Sequence[str] = (),
    run_dir: Path | None = None,
    show: Callable[[CompressionReport, Path], None] | None = None,
    sweep: str | None = None,
    earlier_runs: Iterable[Path] | None = None,
) -> CompressionReport:
    """Run the technique of ``config``; write models, report and picture into ``compression_results``.

    Args:
        config: The resolved config.
        overrides: The overrides that it was composed with, for the techniques of a set.
        run_dir: Folder for the curves of a distillation; None = ``DATE/TIME`` in the output folder.
        show: Called with the merged report and its folder, even if a technique failed.
        sweep: The folder of the sweep that the compression belongs to, if any.
        earlier_runs: Folders of earlier compressions, the newest first. With ``resume=auto``, the newest one of the
            same settings, files and versions goes on if it ended early. None = nothing is remembered either.

    Returns:
        The merged report.

    Raises:
        UserError: An input cannot be used, and nothing was done; or a technique failed, and the others were finished
            and reported first.
    """
    wanted = chains(config, overrides)
    _tell_unused(wanted, overrides)
    weights = find_weights(config)
    device = pick_device(config.accelerator)
    original, digest = load_original(weights, device, config.fast), sha256(weights)
    data = read_data(original, "validation", config.data)
    columns = config.data.text_column, config.data.label_column
    sets = read_sets(config.data.evaluation_paths, *columns, original.labels)
    output_dir = Path(config.output_dir or weights.parent)
    results = CompressionResults(output_dir, original.model_name)
    results.require_free(wanted, may_choose=config.max_drop is not None, sets=sets)
    run_dir = run_dir or output_dir / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
    job = None
    if earlier_runs is not None:
        inputs = digests(dict.fromkeys(path for chain in wanted for path in chain.inputs))
        identity = job_identity([chain.work() for chain in wanted], digest, data.sha256, inputs)
        notes = finished_notes(run_dir, identity) if config.resume == "auto" and sweep is not None else None
        report = read_compression_report(results.folder)
        if report is not None and notes is not None and notes.items() <= _digests(report).items():
            log.info("the compression in %s is finished already (resume=never would do it again)", run_dir)
            return report
        job = Job.claim(run_dir, identity, earlier_runs if config.resume == "auto" else ())
        if job.is_resumed:
            log.info("resuming the compression in %s, which ended early (resume=never would not)", job.folder)
        else:
            _remove_states(run_dir)
    with job.recorded() if job is not None else nullcontext():
        makers = Chains(original, data, config, job.folder if job is not None else run_dir)
        made = _make_models(wanted, makers, results, job, lambda: load_original(weights, device, config.fast))
        if not made.candidates:
            raise _failure(made.failed, len(wanted))
        reads = {
            name: count_read(output_dir, original.model_name, each.sha256, "compress") for name, each in sets.items()
        }
        candidates = {BASELINE: Candidate(weights, {}), **made.candidates}
        found = measure(candidates, data, device, config.rounds, config.fast, sets, reads)
        if sha256(weights) != digest:
            raise UserError(
                f"weights: must stay as they are while they are compressed, found that {weights} has changed"
            )
        for name, reason in found.failed.items():
            _log_failure(name, reason)
        failed = made.failed | found.failed
        measured = CompressionReport(
            model_name=original.model_name,
            weights=FileRecord(path=str(weights.resolve()), sha256=digest),
            data=EvaluationData(path=str(Path(data.path).resolve()), sha256=data.sha256, rows=len(data.texts)),
            environment=Environment(versions=versions(), hardware=hardware(), git_commit=git_commit()),
            variants=found.variants,
            failed={name: _reason(error) for name, error in failed.items()},
            ranking=ranked(found.variants),
        )
        report = results.publish(measured, config.max_drop, config.prefer, found.rows)
        if show is not None:
            show(report, results.folder)
        if failed:
            raise _failure(failed, len(wanted))
    return report


@dataclass(frozen=True, slots=True)
class _Made:
    """The models that could be made, by technique, and why the others could not."""

    candidates: dict[str, Candidate] = field(default_factory=dict)
    failed: dict[str, Exception] = field(default_factory=dict)


def _make_models(
    wanted: Sequence[CompressConfig],
    makers: Chains,
    results: CompressionResults,
    job: Job | None,
    load: Callable[[], Predictor],
) -> _Made:
    """Make the model of each technique, except those that ``job`` notes as made."""
    made = _Made()
    for number, chain in enumerate(wanted, start=1):
        name, path = chain.technique.name, results.model(chain)
        if job is not None and path.is_file() and job.notes.get(name) == sha256(path):
            log.info("%s (%d of %d): made before the interruption", name, number, len(wanted))
            made.candidates[name] = Candidate(path, makers.settings(chain))
            continue
        log.info("%s (%d of %d): %s", name, number, len(wanted), ", ".join(chain.technique.steps))
        try:
            made.candidates[name] = Candidate(path, makers.make(chain, load(), path))
        except Exception as error:  # one failure must not cost the other variants
            made.failed[name] = error
            _log_failure(name, error)
        else:
            if job is not None:
                job.note(name, sha256(path))
    return made


def _tell_unused(wanted: Sequence[CompressConfig], overrides: Sequence[str]) -> None:
    """Warn of overrides for steps that no technique has."""
    used = {step.key for chain in wanted for step in chain.steps if step.reads}
    for override in overrides:
        section = override.lstrip("+").partition(".")[0]
        if section in {step.key for step in STEPS.values()} - used:
            log.warning("%s: changes nothing, as no step that is done reads it", override.partition("=")[0])


def _digests(report: CompressionReport) -> dict[str, str]:
    return {name: variant.sha256 for name, variant in report.variants.items()}


def _remove_states(run_dir: Path) -> None:
    """Remove the resume states that another compression left in the same folder of the user's choice.

    Raises:
        UserError: They are not ours.
    """
    for state in run_dir.glob(f"*/{CHECKPOINTS}/*.ckpt"):
        if not (run_dir / RECORD).exists():
            raise UserError(f"hydra.run.dir: {state} was not written by this program; choose another folder")
        state.unlink()


def _log_failure(name: str, error: Exception) -> None:
    is_users = isinstance(error, UserError | OSError)
    log.error("%s failed: %s", name, _reason(error), exc_info=None if is_users else error)


def _reason(error: Exception) -> str:
    return of_file(error) if isinstance(error, OSError) else first_line(error)


def _failure(failed: dict[str, Exception], wanted: int) -> UserError:
    reasons = "; ".join(f"{name} ({_reason(error)})" for name, error in failed.items())
    return UserError(f"technique: {len(failed)} of {wanted} failed: {reasons}")
