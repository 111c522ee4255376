"""Write tables, figures, model cards and a page from an output folder:  python scripts/report.py [output_dir=outputs]"""

from emotion.cli import report

if __name__ == "__main__":
    report()
