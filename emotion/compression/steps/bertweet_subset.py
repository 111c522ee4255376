"""Shrink BERTweet's tokenizer, a BPE in Python whose merges make pieces that its vocabulary lacks.

bpe.codes marks the last piece of a word with ``</w>``; vocab.txt marks all others with ``@@``. A few characters and
one in 30 merged pieces are not in vocab.txt: "lippines" is not, though "#Philippines" is. A word that ends up with
such a piece has an unknown token. With fewer merges, more words would have one, so these pieces become tokens.
"""

import io
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain
from operator import itemgetter

from transformers import BertweetTokenizer

from emotion.compression.steps.tokenizer_subset import Origins, merge_parts, settings_files


def subset_bertweet(
    tokenizer: BertweetTokenizer, files: dict[str, bytes], wanted: set[str]
) -> tuple[Origins, dict[str, bytes]]:
    """Do for BERTweet what :func:`emotion.compression.steps.tokenizer_subset.subset_tokenizer` does.

    Args:
        tokenizer: The tokenizer of ``files``.
        files: vocab.txt and bpe.codes, and any others; left as they are.
        wanted: Tokens to keep, and pieces, named like tokens, that are unknown and must stay unknown.
    """
    old_ids: dict[str, int] = tokenizer.get_vocab()  # type: ignore[no-untyped-call]
    # Parse lines as the tokenizer does: the last word is a count, and if no pair is left, the line merges nothing.
    codes = [(line, pair) for line in _lines(files["bpe.codes"]) if len(pair := line.split()[:-1]) == 2]
    merges = [(first, second) for _, (first, second) in codes]
    everything = {piece for merge in merges for piece in (*merge, "".join(merge))}
    characters = everything - {first + second for first, second in merges}

    # Where merging once went on from a piece that stays unknown, it still must.
    unknown = _made_from((piece for piece in everything if _token(piece) in wanted), merges, old_ids)
    next_ids = set(chain(*unknown.values()))
    tokens = wanted | {token for token, id_ in old_ids.items() if id_ in next_ids or len(token.removesuffix("@@")) <= 1}
    pieces = merge_parts(merges, characters | {piece for piece in everything if _token(piece) in tokens})
    tokens |= {_token(piece) for piece in pieces}
    new = _made_from((piece for piece in sorted(pieces) if _token(piece) not in wanted), merges, old_ids)

    words = [line for line in _lines(files["vocab.txt"]) if line.strip().rpartition(" ")[0] in tokens]
    words += [f"{token} 0" for token in new]
    lines = [line for line, pair in codes if "".join(pair) in pieces]
    own = {token: [id_] for token, id_ in sorted(old_ids.items(), key=itemgetter(1)) if token in tokens}
    in_file = {token: ids for token, ids in own.items() if ids[0] < tokenizer.vocab_size}  # the mask comes after them
    return in_file | new | own, {"vocab.txt": _text(words), "bpe.codes": _text(lines), **settings_files(files)}


def _token(piece: str) -> str:
    """Return the name in vocab.txt of a piece of bpe.codes."""
    return piece.removesuffix("</w>") if piece.endswith("</w>") else f"{piece}@@"


def _made_from(pieces: Iterable[str], merges: Iterable[tuple[str, str]], old_ids: dict[str, int]) -> Origins:
    """Map each of ``pieces`` that is no token to the ids of the tokens that the merges make of it next.

    A piece of which nothing is made is left out: where it remains, it always did.
    """
    products: defaultdict[str, list[str]] = defaultdict(list)
    for first, second in merges:
        products[first].append(first + second)
        products[second].append(first + second)

    def ids(piece: str) -> list[int]:
        found: list[int] = []
        for product in products.get(piece, ()):
            found += [old_ids[_token(product)]] if _token(product) in old_ids else ids(product)
        return found

    origins = {_token(piece): ids(piece) for piece in pieces if _token(piece) not in old_ids}
    return {token: found for token, found in origins.items() if found}


def _lines(data: bytes) -> list[str]:
    """Split as Python reads a text file: at any of its three line ends, and at none of Unicode's others."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").read().split("\n")[:-1]


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
