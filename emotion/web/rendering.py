"""Fill the page's template."""

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

_FOLDER = files("emotion.web")
_SCRIPTS = ("spaces.js", "csv.js", "words.js", "display.js", "many_texts.js", "one_text.js")
"""In the order in which they use each other."""


def offline_page(
    description: Mapping[str, Any], tokenizer: Mapping[str, Any], model: bytes, runtime: Mapping[str, bytes]
) -> str:
    """Return a page that holds the model and all that runs it, and asks nobody for anything.

    Args:
        description: As :func:`emotion.web.model.offline_description` returns it.
        tokenizer: As :func:`emotion.web.model.tokenizer_json` returns it.
        model: The ONNX file.
        runtime: As :func:`emotion.web.runtime.read_files` returns it.
    """
    data = {
        "model": model,
        "tokenizer": json.dumps(tokenizer).encode(),
        "wasm": runtime["ort-wasm-simd-threaded.wasm"],
        "ort": runtime["ort.wasm.bundle.min.mjs"],
        "tokenizers": runtime["tokenizers.min.mjs"],
    }
    return _render("offline.js", description, data, connect="'none'", extra="'wasm-unsafe-eval' blob:")


def server_page(description: Mapping[str, Any]) -> str:
    """Return a page that asks the server that it comes from.

    Args:
        description: As :func:`emotion.web.model.description` returns it, and ``atOnce``: texts of a request, >= 1.
    """
    return _render("remote.js", description, {}, connect="'self'", extra="")


def _render(backend: str, description: Mapping[str, Any], data: Mapping[str, bytes], connect: str, extra: str) -> str:
    script = "\n".join(_FOLDER.joinpath(name).read_text(encoding="utf-8") for name in (backend, *_SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_FOLDER.joinpath("page.html.j2").read_text(encoding="utf-8"))
    policy = (
        f"default-src 'none'; connect-src {connect}; style-src 'unsafe-inline'; img-src data:;"
        f" script-src 'sha256-{digest}' {extra}; base-uri 'none'; form-action 'none'"
    )
    return template.render(
        name=description["name"],
        policy=policy,
        style=Markup(_FOLDER.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # No "</script>" ends the element early: "<" is written as JSON's escape.
        description=Markup(json.dumps(description, ensure_ascii=False).replace("<", "\\u003c")),
        data={name: _packed(content) for name, content in data.items()},
        is_offline=backend == "offline.js",
    )


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
