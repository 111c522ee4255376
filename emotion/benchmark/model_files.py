"""The model that predicts, as the file that each side loads."""

from pathlib import Path

from emotion.benchmark.sides import OURS
from emotion.checkpoint import save
from emotion.compression import CompressConfig, export_onnx, export_onnx_int8
from emotion.config import compose_config, resolve
from emotion.data import sample_texts
from emotion.errors import UserError
from emotion.models import Predictor, quiet_transformers, require_packages

HUGGING_FACE = "hugging_face"


def model_files(original: Predictor, folder: Path) -> dict[str, Path]:
    """The checkpoint that predicts, as this project's file and as a Hugging Face folder.

    ONNX versions are among them where the packages for them are installed.
    """
    paths = {OURS: folder / "model.pt", HUGGING_FACE: folder / "hugging_face"}
    save(original, paths[OURS])
    with quiet_transformers():
        original.torch_model.save_pretrained(paths[HUGGING_FACE])
    for name, content in original.tokenizer_files.items():
        (paths[HUGGING_FACE] / name).write_bytes(content)
    try:
        require_packages("onnx", "onnxruntime", "onnxscript")
    except UserError:
        return paths
    onnx_config = resolve(compose_config("compress", []), CompressConfig).onnx
    int8 = export_onnx_int8(original, onnx_config, sample_texts())
    for name, exported in (("onnx", export_onnx(original)), ("onnx_int8", int8)):
        paths[name] = folder / f"model_{name}.onnx"
        save(exported, paths[name])
    return paths
