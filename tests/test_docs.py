"""The figures of README and docs are those of the reports in docs/reports."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from emotion.config import PROJECT
from emotion.reporting import TrainingReport, read_json
from emotion.reporting.store import write_json
from support.training_reports import entry, run_record

SCRIPT = PROJECT / "scripts" / "docs.py"
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec.loader.exec_module(module)
    return module


def test_every_page_holds_what_its_reports_say() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "render", "--check"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_figure_that_was_changed_by_hand_is_found(docs: ModuleType) -> None:
    changed = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in docs.BLOCK.finditer(text):
            digit = re.search(r"\d\.(\d)", found[0])
            if digit is None:
                continue
            place = found.start() + digit.start(1)
            other = f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"
            assert docs.filled(other) == text != other
            changed += 1
            break
    assert changed >= 3


def test_collected_reports_hold_no_path_and_no_rows(docs: ModuleType, tmp_path: Path) -> None:
    run = run_record()
    kept = entry(run)
    kept.config = {"data": {"train": "/home/somebody/train.csv"}}
    run.sweep = "/home/somebody/multirun/1"
    write_json(TrainingReport(runs=[run], models={"MiniLM": kept}), tmp_path / "emotion_classification_report.json")
    docs.collect(tmp_path, tmp_path / "kept")
    report = read_json(tmp_path / "kept" / "emotion_classification_report.json", TrainingReport)
    assert report.models["MiniLM"].config == {"data": {"train": "train.csv"}}
    assert report.models["MiniLM"].macro_f1 == kept.macro_f1


def test_committed_reports_hold_no_path_and_no_text() -> None:
    reports = sorted((PROJECT / "docs" / "reports").rglob("*.json"))
    assert reports

    def strings(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for key, each in value.items() for text in (key, *strings(each))]
        if isinstance(value, list):
            return [text for each in value for text in strings(each)]
        return [value] if isinstance(value, str) else []

    for path in reports:
        content = json.loads(path.read_text(encoding="utf-8"))
        assert [text for text in strings(content) if text.startswith(("/", "~"))] == []
        assert '"texts"' not in path.read_text(encoding="utf-8")
