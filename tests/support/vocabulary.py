"""A corpus that vocabularies are trimmed to."""

from support.files import sample_rows

FEW = [text for text, _ in sample_rows("train", 10)]


LONG = " ".join(text for text, _ in sample_rows("train", 14)[10:])


# Thirty texts begin at different places in words; one has what the cardiff normalisation changes, and odd characters.
CORPUS = [*FEW, *(LONG[start:] for start in range(30)), "@someone said ∰ at https://example.com 🙂", ""]
