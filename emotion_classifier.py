"""The classic one-file interface over the package ``emotion``.

python emotion_classifier.py --train train.csv --val validation.csv --model ModernBERT
python emotion_classifier.py --mode inference --weights outputs/best_ModernBERT.pt --test_csv test.csv
python emotion_classifier.py --mode compress --weights outputs/best_ModernBERT.pt --val validation.csv
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import emotion
from emotion.errors import UserError, of_file
from emotion.models.fast import keep_freed_memory
from emotion.progress import stderr

if TYPE_CHECKING:
    from emotion import compress_and_evaluate, main, run_inference

__all__ = ["compress_and_evaluate", "main", "run_inference"]


def __getattr__(name: str) -> Any:
    """Import the package's functions on first use, so that wrong arguments need not wait for torch."""
    if name in __all__:
        return getattr(emotion, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        usage="%(prog)s [--mode train|inference|compress] [--help] [OPTION VALUE ...]",
        description="Train emotion classifiers, compress one, or predict a CSV with one.",
    )
    parser.add_argument("--mode", choices=("train", "inference", "compress"), default="train")
    parser.add_argument("--train", default="train.csv", help="CSV with text and label (default: %(default)s)")
    parser.add_argument(
        "--val", default="validation.csv", help="the same, to choose the epoch or to measure on (default: %(default)s)"
    )
    parser.add_argument("--output", default="./outputs", help="folder of the deliverables (default: %(default)s)")
    parser.add_argument("--model", help="BERTweet, CardiffRoBERTa, ModernBERT or MiniLM (default: the first three)")
    parser.add_argument("--gpu", type=int, help="index of the GPU (default: a GPU where there is one)")
    parser.add_argument("--weights", help="checkpoint to predict with or to compress, e.g. outputs/best_ModernBERT.pt")
    parser.add_argument("--test_csv", help="CSV to predict; the result goes to <name>_predictions.csv in its folder")
    parser.add_argument(
        "--technique", default="all", help="prune, quantize, combined, all or another of conf/technique (default: all)"
    )
    arguments = parser.parse_args()
    if arguments.mode == "inference" and not (arguments.weights and arguments.test_csv):
        parser.error("--mode inference needs --weights and --test_csv")
    if arguments.mode == "compress" and not arguments.weights:
        parser.error("--mode compress needs --weights")
    return arguments


def _run(arguments: argparse.Namespace) -> None:
    from emotion.reporting import TrainingReport, print_compression, print_report  # only now, as it takes a second

    if arguments.mode == "train":
        content = emotion.main(arguments.train, arguments.val, arguments.output, arguments.model, arguments.gpu)
        report = TrainingReport.model_validate(content)
        print_report(report, report.runs[-1].model_name, Path(arguments.output))
    elif arguments.mode == "compress":
        emotion.compress_and_evaluate(
            arguments.weights, arguments.val, arguments.output, arguments.technique, show=print_compression
        )
    else:
        emotion.run_inference(arguments.weights, arguments.test_csv)


if __name__ == "__main__":
    arguments = _arguments()
    keep_freed_memory()
    from emotion.training import Interrupted, stop_on_signals

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=stderr)
    try:
        with stop_on_signals(at_once=True):
            _run(arguments)
    except Interrupted as stop:
        print(f"stopped by {stop.signal}", file=sys.stderr)
        raise
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {of_file(error)}")
