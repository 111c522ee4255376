"""Score predictions and compare classifiers."""
