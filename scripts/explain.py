"""Show which words speak for a label:  python scripts/explain.py weights=outputs/best_MiniLM.pt csv=test.csv"""

from emotion.cli import explain

if __name__ == "__main__":
    explain()
