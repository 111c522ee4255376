"""A corpus whose vocabulary is trimmed."""

from support.files import sample_rows

FEW = [text for text, _ in sample_rows("train", 10)]


LONG = " ".join(text for text, _ in sample_rows("train", 14)[10:])


CORPUS = [*FEW, *(LONG[start:] for start in range(30)), "@someone said ∰ at https://example.com 🙂", ""]
