"""Shrink a tokenizer: it still spells any text, and segments a text of kept tokens as before.

WordPiece takes the longest token that fits, so dropping others changes nothing for a text of kept tokens; single
characters spell the rest. BPE merges two neighbours at a time, the earliest merge of its list first. Keeping a token
keeps all merges that make it and what they merge, so the merges that once made a text of kept tokens still exist; and
none comes in between, as the list only gets shorter.

Source: Sennrich et al. 2016, arXiv:1508.07909 (BPE); Wu et al. 2016, arXiv:1609.08144 (WordPiece).
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from transformers import PreTrainedTokenizerBase

from emotion.errors import UserError

Origins = dict[str, list[int]]
"""The tokens of a smaller tokenizer, in the order of their new ids, each with the old ids whose mean embedding is its
own: a kept token has only its old id, and a new one the ids of the tokens that it is part of."""


def subset_tokenizer(
    tokenizer: PreTrainedTokenizerBase, files: dict[str, bytes], wanted: set[str]
) -> tuple[Origins, dict[str, bytes]]:
    """Reduce a WordPiece or BPE tokenizer of ``tokenizers`` to the tokens ``wanted`` and those that spell all others.

    One tokenizer.json holds the result. transformers then reads no vocab.txt, vocab.json, merges.txt or
    added_tokens.json, so these are left out.

    Raises:
        UserError: The tokenizer is of another kind.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content: dict[str, Any] = json.loads(backend.to_str()) if backend is not None else {"model": {"type": "Python"}}
    model = content["model"]
    if model["type"] == "WordPiece":
        kept = wanted | _wordpiece_characters(model["vocab"].keys(), model["continuing_subword_prefix"])
    elif model["type"] == "BPE" and not model["continuing_subword_prefix"]:
        merges = [(first, second) for first, second in model["merges"]]
        characters = model["vocab"].keys() - {first + second for first, second in merges}
        kept = merge_parts(merges, wanted | characters)
        model["merges"] = [(first, second) for first, second in merges if first + second in kept]
    else:
        raise UserError(
            "technique.steps: trim_vocabulary must have a WordPiece or BPE tokenizer, found"
            f" {type(tokenizer).__name__} of the kind {model['type']}"
        )
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    origins = {token: [id_] for token, id_ in sorted(vocabulary.items(), key=itemgetter(1)) if token in kept}
    new_ids = {old: new for new, (old,) in enumerate(origins.values())}
    model["vocab"] = {token: new_ids[id_] for token, id_ in model["vocab"].items() if token in kept}
    content["added_tokens"] = [token | {"id": new_ids[token["id"]]} for token in content["added_tokens"]]
    content["post_processor"] = _renumbered(content["post_processor"], new_ids)
    content["truncation"] = content["padding"] = None  # what the last call left there; each call sets its own
    return origins, {"tokenizer.json": _json(content), **settings_files(files)}


def merge_parts(merges: Iterable[tuple[str, str]], pieces: set[str]) -> set[str]:
    """Return ``pieces`` with all that they are merged from, step by step; a merge makes its pair's concatenation."""
    makers: defaultdict[str, list[str]] = defaultdict(list)
    for first, second in merges:
        makers[first + second] += [first, second]
    found: set[str] = set()
    waiting = list(pieces)
    while waiting:
        piece = waiting.pop()
        if piece not in found:
            found.add(piece)
            waiting += makers.get(piece, ())
    return found


def settings_files(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files that hold a tokenizer's options, without ids."""
    kept = {name: data for name, data in files.items() if name in ("special_tokens_map.json", "tokenizer_config.json")}
    if "tokenizer_config.json" in kept:
        settings = json.loads(kept["tokenizer_config.json"])
        # These have their old ids; transformers takes them from tokenizer.json, and BERTweet's from its class.
        settings.pop("added_tokens_decoder", None)
        kept["tokenizer_config.json"] = _json(settings)
    return kept


def _wordpiece_characters(vocabulary: Iterable[str], prefix: str) -> set[str]:
    """Return the single characters, at a word's start and after it, and the tokens that these do not spell."""
    vocabulary = set(vocabulary)

    def is_needed(token: str) -> bool:
        start = prefix if token.startswith(prefix) and token != prefix else ""
        first, *others = list(token.removeprefix(start)) or [""]
        return not others or not {start + first, *(prefix + character for character in others)} <= vocabulary

    return {token for token in vocabulary if is_needed(token)}


def _renumbered(part: Any, new_ids: dict[int, int]) -> Any:
    """Replace the ids of special tokens in a post-processor of a tokenizer.json, or in any part of one."""
    match part:
        case dict():
            return {
                key: [new_ids[old] for old in value] if key == "ids" else _renumbered(value, new_ids)
                for key, value in part.items()
            }
        case [str(token), int(old)]:  # the "sep" and "cls" of BERT's and RoBERTa's
            return [token, new_ids[old]]
        case list():
            return [_renumbered(value, new_ids) for value in part]
    return part


def _json(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
