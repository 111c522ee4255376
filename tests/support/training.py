"""Short trainings on tiny backbones, and what they write."""

import json
from pathlib import Path
from typing import Any

import torch

from emotion.config import compose_config, resolve
from emotion.training import TrainConfig


def config_for(kind: str, backbone: Path, corpus: dict[str, Path], output_dir: Path, *overrides: str) -> TrainConfig:
    composed = compose_config("train", [f"model={kind}", "data=csv", "trainer.max_epochs=2", *overrides])
    composed.model.backbone, composed.output_dir = str(backbone), str(output_dir)
    composed.data.train, composed.data.validation = str(corpus["train"]), str(corpus["validation"])
    composed.trainer.enable_progress_bar = False
    return resolve(composed, TrainConfig)


def read_report(output_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output_dir / "emotion_classification_report.json").read_text())
    return content


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["model_state_dict"]
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
