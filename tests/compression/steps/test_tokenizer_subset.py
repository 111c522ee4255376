"""Tokenizers with fewer tokens, by hand: which pieces are kept so that the kept tokens can be made."""

from pathlib import Path

from tokenizers import Tokenizer, models
from transformers import BertweetTokenizer, PreTrainedTokenizerFast

from emotion.compression.steps.bertweet_subset import subset_bertweet
from emotion.compression.steps.tokenizer_subset import merge_parts, subset_tokenizer


def test_merge_parts_by_hand() -> None:
    merges = [("l", "o"), ("e", "r"), ("lo", "w"), ("n", "e"), ("low", "er"), ("ne", "w"), ("lo", "wer"), ("w", "er")]
    assert merge_parts(merges, {"lower"}) == {"lower", "low", "er", "lo", "wer", "w", "e", "r", "l", "o"}
    assert merge_parts(merges, {"new", "x"}) == {"new", "ne", "n", "e", "w", "x"}


def test_wordpiece_keeps_tokens_that_its_characters_cannot_spell() -> None:
    tokens = ["[UNK]", "a", "b", "##a", "##b", "ab", "##ab", "ba", "xa", "a##", "bq", "##"]
    backend = Tokenizer(models.WordPiece({token: id_ for id_, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    origins, _ = subset_tokenizer(tokenizer, {}, {"[UNK]", "ba"})
    assert origins.keys() == {"[UNK]", "a", "b", "##a", "##b", "ba", "xa", "a##", "bq", "##"}


def test_bertweets_pieces_by_hand(tmp_path: Path) -> None:
    """``nes`` is not a token but ``amnes`` is, so ``xnes`` has an unknown piece and ``amnes`` has none."""
    words = ["x@@", "n@@", "e@@", "s", "a@@", "m@@", "am@@", "amnes", "ma@@"]
    merges = ["e s</w>", "n es</w>", "a m", "am nes</w>", "m a"]
    files = {
        "vocab.txt": "".join(f"{word} 7\n" for word in words).encode(),
        "bpe.codes": "".join(f"{merge} 7\n" for merge in merges).encode(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    tokenizer = BertweetTokenizer(str(tmp_path / "vocab.txt"), str(tmp_path / "bpe.codes"))
    assert tokenizer.tokenize("xnes amnes") == ["x@@", "nes", "amnes"]
    specials = set(tokenizer.all_special_tokens)

    origins, smaller = subset_bertweet(tokenizer, files, {*specials, "x@@", "nes"})
    assert smaller["vocab.txt"].decode().splitlines() == [*(f"{word} 7" for word in words[:-1]), "es 0"]
    assert smaller["bpe.codes"].decode().splitlines() == [f"{merge} 7" for merge in merges[:-1]]
    assert list(origins) == ["<s>", "<pad>", "</s>", "<unk>", *words[:-1], "es", "<mask>"]

    origins, smaller = subset_bertweet(tokenizer, files, {*specials, "x@@", "amnes"})
    assert smaller["vocab.txt"].decode().splitlines() == [*(f"{word} 7" for word in words[:-1]), "es 0", "nes 0"]
    assert list(origins) == ["<s>", "<pad>", "</s>", "<unk>", *words[:-1], "es", "nes", "<mask>"]
    assert origins["es"] == origins["nes"] == origins["amnes"] == [tokenizer.convert_tokens_to_ids("amnes")]

    origins, smaller = subset_bertweet(tokenizer, files, specials)
    assert not smaller["bpe.codes"]
    assert list(origins) == ["<s>", "<pad>", "</s>", "<unk>", *words[:6], "<mask>"]
