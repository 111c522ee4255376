"""Files of strangers: good checkpoints with one thing changed, in families."""

import io
import json
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import onnx
import torch

from emotion.checkpoint.onnx_format import KEY
from support.hostile_pickles import doubled, in_zip, pickled
from support.onnx_bombs import BOMBS, external_weight, function, weight_without_bytes, with_nodes

ODD_TEXTS = [
    "[red]x[/]",
    "[/]",
    "\x1b]0;owned\x07",
    "a\nb",
    "../../x",
    "/etc/passwd",
    "x" * 10_000_000,
    "",
    "=1+1",
    "\ud800",
]
ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    10**6,
    10**9,
    2**63,
    10**5000,
    float("nan"),
    1e308,
    "1",
    [],
    {},
    [[1]],
    *ODD_TEXTS,
]
ODD_SETTINGS: dict[str, list[Any]] = {
    "_attn_implementation": [
        "kernels-community/flash-attn2",
        "stranger/kernel:evil",
        "flex_attention",
        "paged|eager",
        7,
    ],
    "attn_implementation": ["kernels-community/x", "eager"],
    "_experts_implementation": ["kernels-community/x"],
    "experts_implementation": ["grouped_mm"],
    "model_type": [
        "vit",
        "gpt2",
        "llama",
        "t5",
        "auto",
        "../../x",
        "modernbert",
        "roberta",
        "mixtral",
        "deberta-v2",
        "",
    ],
    "auto_map": [{"AutoConfig": "stranger/x--evil.Evil", "AutoModelForSequenceClassification": "evil.Evil"}],
    "quantization_config": [
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "torchao", "quant_type": "int8"},
        {"quant_method": "quark", "custom": "evil"},
        "awq",
    ],
    "dtype": ["float16", "bfloat16", "float64", "int8", "evil", "__class__", "save", 4],
    "torch_dtype": ["float16", "evil", "load"],
    "hidden_act": ["evil", "os.system", "gelu_new", "relu"],
    "problem_type": ["regression", "multi_label_classification", "evil"],
    "architectures": [["EvilModel"], "os.system"],
    "tokenizer_class": ["EvilTokenizer", "os.system", "T5Tokenizer", "BertweetTokenizer"],
    "_name_or_path": ["https://127.0.0.1/evil", "../../x"],
    "_commit_hash": ["../../x"],
    "transformers_version": ["99", "evil"],
    "is_decoder": [True],
    "add_cross_attention": [True],
    "tie_word_embeddings": [True],
    "gradient_checkpointing": [True],
    "torchscript": [True],
    "return_dict": [False],
    "output_attentions": [True],
    "output_hidden_states": [True],
    "use_cache": [True],
    "chunk_size_feed_forward": [1, 7, 10**9],
    "id2label": [{}, {"0": "a"}, {str(place): "a" for place in range(100_000)}],
    "num_labels": [1, 7, 10**7],
    "pruned_heads": [{"0": [0]}, {"9": [9]}],
}
DEEP = "[" * 10_000 + "]" * 10_000


class HostileFile(NamedTuple):
    """A file, and what a load of it may end in besides a refusal."""

    suffix: str
    content: bytes
    answers: str
    """``none``, ``same`` (as the file it was made of) or ``any``."""


def _saved(content: dict[str, Any]) -> bytes:
    target = io.BytesIO()
    torch.save(content, target)
    return target.getvalue()


class HostileFiles:
    """Makes files.

    Args:
        originals: Good checkpoints, ``.pt`` and ``.onnx``.
        mark: A file that code in a hostile file would make.
    """

    def __init__(self, originals: list[Path], mark: Path) -> None:
        self.mark = str(mark)
        self.pts = [path.read_bytes() for path in originals if path.suffix == ".pt"]
        self.onnxs = [path.read_bytes() for path in originals if path.suffix == ".onnx"]
        self.families: dict[str, Callable[[Random], HostileFile]] = {
            "pickle in a zip": lambda random: self._pickle(random, "zip"),
            "pickle alone": lambda random: self._pickle(random, "alone"),
            "old pickle": lambda random: self._pickle(random, "old"),
            "pickle in a tar": lambda random: self._pickle(random, "tar"),
            "pickle in a tensor": lambda random: self._pickle(random, "storage"),
            "truncated": self._truncated,
            "flipped": self._flipped,
            "members": self._members,
            "tensors": self._tensors,
            "keys": self._keys,
            "config": self._config,
            "backbone": self._backbone,
            "odd sizes": self._sizes,
            "tokenizer files": self._tokenizer_files,
            "tokenizer": self._tokenizer,
            "patterns": self._patterns,
            "onnx bomb": self._bomb,
            "onnx model": self._onnx_model,
            "onnx metadata": self._onnx_metadata,
            "onnx content": self._onnx_content,
        }

    def make(self, random: Random, number: int) -> tuple[str, HostileFile]:
        """Make a file of the family whose turn it is; return the family's name and the file."""
        name = list(self.families)[number % len(self.families)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a stranger does is deprecated, or a member is there twice
            return name, self.families[name](random)

    def _pickle(self, random: Random, place: str) -> HostileFile:
        _, data = pickled(random, self.mark)
        whole = random.choice(self.pts)
        if place == "zip":
            return HostileFile(".pt", in_zip(whole, data), "none")
        if place == "old":
            data = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + data
        elif place == "tar":
            target = io.BytesIO()
            with tarfile.open(fileobj=target, mode="w") as archive:
                for name in ("sys_info", "pickle", "storages", "tensors", "../../evil.py"):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
            data = target.getvalue()
        elif place == "storage":
            content = self._content(random)
            content["model_state_dict"]["more"] = torch.frombuffer(bytearray(data or b"x"), dtype=torch.uint8)
            return HostileFile(".pt", _saved(content), "same")
        return HostileFile(random.choice([".pt", ".onnx"]), data, "none")

    def _content(self, random: Random) -> dict[str, Any]:
        loaded: dict[str, Any] = torch.load(io.BytesIO(random.choice(self.pts)), weights_only=True)
        return loaded

    def _any(self, random: Random) -> tuple[str, bytes]:
        suffix = random.choice([".pt", ".onnx"])
        return suffix, random.choice(self.pts if suffix == ".pt" else self.onnxs)

    def _truncated(self, random: Random) -> HostileFile:
        suffix, whole = self._any(random)
        end = random.choice([random.randrange(len(whole)), len(whole) - random.randrange(1, 30)])
        return HostileFile(suffix, whole[:end] + random.choice([b"", bytes(random.randrange(1, 99))]), "same")

    def _flipped(self, random: Random) -> HostileFile:
        suffix, whole = self._any(random)
        data = bytearray(whole)
        for _ in range(random.choice([1, 1, 3, 50])):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return HostileFile(suffix, bytes(data), "same")

    def _members(self, random: Random) -> HostileFile:
        target = io.BytesIO()
        how = random.choice(["missing", "renamed", "more", "twice", "packed", "bomb", "swapped", "escaping", "code"])
        with zipfile.ZipFile(io.BytesIO(random.choice(self.pts))) as source, zipfile.ZipFile(target, "w") as archive:
            names = source.namelist()
            odd = random.choice(names)
            folder = names[0].split("/")[0]
            for name in names:
                if name == odd and how == "missing":
                    continue
                other = random.choice(names) if name == odd and how == "swapped" else name
                renamed = f"{folder}/{random.choice(ODD_TEXTS)[:99].encode(errors='replace').decode()}"
                kind = zipfile.ZIP_DEFLATED if how == "packed" and name == odd else zipfile.ZIP_STORED
                archive.writestr(renamed if name == odd and how == "renamed" else name, source.read(other), kind)
            if how == "twice":
                archive.writestr(odd, bytes(random.randrange(100)))
            elif how == "bomb":
                archive.writestr(f"{folder}/data/0", bytes(300_000_000), zipfile.ZIP_DEFLATED)
            elif how in ("more", "escaping", "code"):
                extra = {"more": "extra", "escaping": "../../../evil.py", "code": "code/__torch__.py"}[how]
                archive.writestr(f"{folder}/{extra}", f"open({self.mark!r}, 'w')")
        return HostileFile(".pt", target.getvalue(), "any" if how == "swapped" else "same")

    def _tensors(self, random: Random) -> HostileFile:
        content = self._content(random)
        states = content["model_state_dict"]
        name = random.choice(list(states))
        tensor = states[name]
        states[name] = random.choice(
            [
                lambda: tensor[..., :-1],
                lambda: torch.zeros(1).expand(10**9),
                lambda: torch.zeros(1).expand(10**12),
                lambda: torch.as_strided(torch.zeros(9), (3, 3), (0, 1)),
                lambda: tensor.to(
                    random.choice([torch.float16, torch.float64, torch.int64, torch.bool, torch.complex64])
                ),
                lambda: torch.full_like(tensor, random.choice([float("nan"), float("inf"), 3e38])),
                lambda: tensor.to_sparse(),
                lambda: torch.empty(10**6, 10**6, device="meta"),
                lambda: torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor,
                lambda: tensor[None],
                lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8),
                lambda: random.choice(ODD_VALUES),
                lambda: {"mask": tensor},
            ]
        )()
        if random.random() < 0.3:
            packed = {"mask": torch.zeros(3, dtype=torch.uint8), "values": torch.zeros(0), "shape": [10**6, 10**6]}
            content["sparse_state_dict"] = {name: random.choice([packed, {**packed, "shape": [-1, -5]}, [], 3])}
        return HostileFile(".pt", _saved(content), "any")

    def _keys(self, random: Random) -> HostileFile:
        content = self._content(random)
        place: Any = content
        while True:
            key = random.choice(list(place))
            if isinstance(place[key], dict) and place[key] and random.random() < 0.6:
                place = place[key]
                continue
            break
        how = random.choice(["gone", "odd", "odd", "laughs", "renamed"])
        value = place.pop(key)
        if how == "odd":
            place[key] = random.choice(ODD_VALUES)
        elif how == "laughs":
            place[key] = doubled(40)
        elif how == "renamed":
            place[random.choice(ODD_TEXTS)] = value
        return HostileFile(".pt", _saved(content), "any")

    def _config(self, random: Random) -> HostileFile:
        content = self._content(random)
        settings = content["config"]
        key = random.choice(
            ["max_length", "num_labels", "labels", "label_colours", "normalization", "temperature", "name"]
        )
        labels = list(settings["labels"])
        if key == "name":
            content[random.choice(["model_name", "model_id", "commit", "format"])] = random.choice(ODD_VALUES)
        elif key == "labels" and random.random() < 0.8:
            labels[random.randrange(6)] = random.choice([labels[0], *ODD_TEXTS])
            settings["labels"] = random.choice([labels, labels[:3], labels * 100_000, "abcdef", labels])
        else:
            settings[key] = random.choice(ODD_VALUES)
        return HostileFile(".pt", _saved(content), "any")

    def _backbone(self, random: Random) -> HostileFile:
        content = self._content(random)
        for _ in range(random.choice([1, 1, 2])):
            key = random.choice(list(ODD_SETTINGS))
            content["backbone_config"][key] = random.choice(ODD_SETTINGS[key])
        return HostileFile(".pt", _saved(content), "any")

    def _sizes(self, random: Random) -> HostileFile:
        content = self._content(random)
        numbers = [key for key, value in content["backbone_config"].items() if isinstance(value, int | float)]
        key = random.choice([*numbers, "n_layer", "num_layers", "decoder_layers", "num_experts", "depths"])
        content["backbone_config"][key] = random.choice([0, -1, 1, 3, 10**6, 10**9, 2**40, 2**63, 0.5, float("nan")])
        return HostileFile(".pt", _saved(content), "any")

    def _with_tokenizer(self, random: Random, change: Callable[[dict[str, bytes]], None]) -> HostileFile:
        content = self._content(random)
        files = {name: data.numpy().tobytes() for name, data in content["tokenizer"].items()}
        change(files)
        content["tokenizer"] = {
            name: torch.frombuffer(bytearray(data or b" "), dtype=torch.uint8) for name, data in files.items()
        }
        return HostileFile(".pt", _saved(content), "any")

    def _tokenizer_files(self, random: Random) -> HostileFile:
        def change(files: dict[str, bytes]) -> None:
            names = [
                "../../x",
                "/tmp/x",
                "evil.py",
                "config.json",
                "vocab.txt",
                "spiece.model",
                "chat_template.jinja",
                "\x1b[2J",
            ]
            code = f"open({self.mark!r}, 'w')".encode()
            data = [code, b"", b"{}", DEEP.encode(), b"[" * 10**6, b"{" + b'"a":{' * 50_000, bytes(10**6), b"\xff\xfe"]
            name = random.choice([*names, *files, *files])
            if random.random() < 0.2:
                files.pop(random.choice(list(files)))
            files[name] = random.choice(data)

        return self._with_tokenizer(random, change)

    def _tokenizer(self, random: Random) -> HostileFile:
        def change(files: dict[str, bytes]) -> None:
            settings = json.loads(files["tokenizer_config.json"])
            odd: dict[str, list[Any]] = {
                "tokenizer_class": ["EvilTokenizer", "os.system", "T5Tokenizer", "LlamaTokenizer", "ByT5Tokenizer", 7],
                "auto_map": [{"AutoTokenizer": ["evil.Evil", None]}],
                "pad_token": ["[NONE]", None, {"__type": "AddedToken", "content": "x"}, "x" * 10**6],
                "model_max_length": [-1, 0, 10**30, "x"],
                "added_tokens_decoder": [{"999999": {"content": "zzz", "special": False}}, {"-1": {}}, 3],
                "additional_special_tokens": [["the"] * 9, [f"t{place}" for place in range(5000)], ["a", "e"]],
                "padding_side": ["left", "evil"],
                "chat_template": ["{{ ''.__class__.__mro__[1].__subclasses__() }}"],
                "tokenizer_file": ["/etc/passwd", "../../x"],
                "vocab_file": ["/etc/passwd"],
                "name_or_path": ["stranger/evil"],
                "backend": ["custom", "tokenizers", "sentencepiece", "mistral"],
                "fix_mistral_regex": [True],
                "from_slow": [True],
                "model_input_names": [["evil"], [], 3],
            }
            key = random.choice(list(odd))
            settings[key] = random.choice(odd[key])
            files["tokenizer_config.json"] = json.dumps(settings).encode()

        return self._with_tokenizer(random, change)

    def _patterns(self, random: Random) -> HostileFile:
        def change(files: dict[str, bytes]) -> None:
            whole = json.loads(files["tokenizer.json"])
            pattern = {
                "Regex": random.choice(
                    ["(x+x+)+y", "(.*)*x", "(a|a)*b", "(?:(?:a{1,99}){1,99}){1,99}", "((", "x" * 10**6]
                )
            }
            how = random.choice(["normalizer", "pre_tokenizer", "vocab", "growing", "added", "truncation", "model"])
            if how == "normalizer":
                whole["normalizer"] = {"type": "Replace", "pattern": pattern, "content": "x"}
            elif how == "growing":
                grow = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 50}
                whole["normalizer"] = {"type": "Sequence", "normalizers": [grow] * random.choice([3, 8])}
            elif how == "pre_tokenizer":
                split = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
                whole["pre_tokenizer"] = split
            elif how == "vocab":
                for word in random.sample(list(whole["model"]["vocab"]), 20):
                    whole["model"]["vocab"][word] = random.choice([10**6, 2**31, 5, 700])
            elif how == "added":
                token = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
                whole["added_tokens"].append({"id": random.choice([10**6, 0, 2**31]), "content": "the", **token})
            elif how == "truncation":
                whole["truncation"] = {
                    "direction": "Left",
                    "max_length": 2**40,
                    "strategy": "LongestFirst",
                    "stride": 10**6,
                }
                whole["padding"] = {
                    "strategy": {"Fixed": random.choice([10**10, 100])},
                    "direction": "Right",
                    "pad_to_multiple_of": None,
                    "pad_id": 10**6,
                    "pad_type_id": 0,
                    "pad_token": "x",
                }
            else:
                whole["model"]["type"] = random.choice(["BPE", "Unigram", "WordLevel", "Evil"])
            files["tokenizer.json"] = json.dumps(whole).encode()
            if random.random() < 0.7:  # a class that keeps to the file
                settings = json.loads(files["tokenizer_config.json"]) | {"tokenizer_class": "PreTrainedTokenizerFast"}
                files["tokenizer_config.json"] = json.dumps(settings).encode()

        return self._with_tokenizer(random, change)

    def _parsed(self, random: Random) -> onnx.ModelProto:
        model = onnx.load_from_string(random.choice(self.onnxs))
        for entry in [each for each in model.metadata_props if each.key != KEY]:
            model.metadata_props.remove(entry)  # else the digest would tell
        return model

    def _bomb(self, random: Random) -> HostileFile:
        model = with_nodes(BOMBS[random.choice(list(BOMBS))]())
        model.metadata_props.extend(self._parsed(random).metadata_props)
        return HostileFile(".onnx", model.SerializeToString(), "none")

    def _onnx_model(self, random: Random) -> HostileFile:
        model = self._parsed(random)
        graph = model.graph
        node, weight = random.choice(graph.node), random.choice(graph.initializer)

        def dims() -> None:
            weight.dims[:] = random.choice([[10**6, 10**6], [0], [-1], [2**62, 4], [1]])

        def shown() -> None:
            for each in graph.value_info:
                for size in each.type.tensor_type.shape.dim:
                    size.dim_value = 10**9

        random.choice(
            [
                lambda: external_weight(model),
                lambda: weight_without_bytes(model),
                lambda: function(model),
                dims,
                shown,
                lambda: setattr(
                    node, "op_type", random.choice(["If", "Scan", "Loop", "Evil", "MatMul", "Expand", "Max"])
                ),
                lambda: setattr(node, "domain", random.choice(["com.microsoft", "ai.onnx.ml", "evil"])),
                lambda: node.input.pop() if node.input else None,
                lambda: node.input.append(node.output[0]),
                lambda: setattr(model, "ir_version", random.choice([0, 1, 99, -1])),
                lambda: setattr(model.opset_import[0], "version", random.choice([1, 7, 99, -1, 18])),
                lambda: setattr(random.choice([*graph.input, *graph.output]), "name", random.choice(["x", ""])),
                lambda: setattr(weight, "raw_data", weight.raw_data[:-1] + bytes(random.choice([0, 1, 9]))),
                lambda: setattr(weight, "data_type", random.choice([0, 1, 7, 8, 16, 99])),
                lambda: graph.node.append(node),
                lambda: graph.initializer.append(weight),
                lambda: graph.node.remove(node),
            ]
        )()
        return HostileFile(".onnx", model.SerializeToString(), "any")

    def _onnx_metadata(self, random: Random) -> HostileFile:
        model = self._parsed(random)
        entry = model.metadata_props[0]
        text = entry.value
        place = text.index("zlib_base64") + 20
        entry.value = random.choice(
            [
                "{",
                "",
                "[]",
                "null",
                DEEP,
                '{"a":' * 10_000 + "1" + "}" * 10_000,
                text[:-5],
                text[:place] + "!" + text[place:],
                text[:place] + "AAAA" + text[place + 4 :],
                "NaN",
                "9" * 100_000,
                text.replace("zlib_base64", "x"),
                text.replace('"zlib_base64": "', '"zlib_base64": 5, "y": "', 1),
            ]
        )
        return HostileFile(".onnx", model.SerializeToString(), "any")

    def _onnx_content(self, random: Random) -> HostileFile:
        model = self._parsed(random)
        content = json.loads(model.metadata_props[0].value)
        part = random.choice([content, content["config"], content["backbone_config"], content["tokenizer"]])
        key = random.choice(list(part))
        part[key] = random.choice([value for value in ODD_VALUES if value not in ("\ud800", 10**5000)])
        if random.random() < 0.3:
            key = random.choice(list(ODD_SETTINGS))
            content["backbone_config"][key] = random.choice(ODD_SETTINGS[key])
        model.metadata_props[0].value = json.dumps(content)
        return HostileFile(".onnx", model.SerializeToString(), "any")
