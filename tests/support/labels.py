"""Label sets of the tests, written out so that they do not depend on ``conf/labels``."""

from emotion.labels import LabelSet

EMOTION6 = LabelSet(("sadness", "joy", "love", "anger", "fear", "surprise"))
