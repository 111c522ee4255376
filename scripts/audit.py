"""Audit labelled CSVs:  python scripts/audit.py data.train=train.csv data.validation=validation.csv"""

from emotion.cli import audit

if __name__ == "__main__":
    audit()
