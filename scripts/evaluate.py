"""Evaluate checkpoints on labelled CSVs:  python scripts/evaluate.py weights=outputs/best_MiniLM.pt csv=test.csv"""

from emotion.cli import evaluate

if __name__ == "__main__":
    evaluate()
