"""The classification heads of the architectures."""

HEADS = {
    "bertweet": ["classifier"],
    "cardiff": ["classifier"],
    "modernbert": ["head", "classifier"],
    "minilm": ["bert.pooler", "classifier"],
}


TENSORS = {
    "bertweet": ["classifier.dense.weight", "classifier.dense.bias", "classifier.out_proj.weight",
                 "classifier.out_proj.bias"],
    "modernbert": ["head.dense.weight", "head.norm.weight", "classifier.weight", "classifier.bias"],
    "minilm": ["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"],
}  # fmt: skip
TENSORS["cardiff"] = TENSORS["bertweet"]  # both are RoBERTa
