"""Write an article's tables, figures, model cards and page:  python scripts/report.py [output_dir=outputs]"""

from emotion.cli import report

if __name__ == "__main__":
    report()
