"""Write the page and the model cards of an output folder:  python scripts/report.py [output_dir=outputs]"""

from emotion.cli import report

if __name__ == "__main__":
    report()
