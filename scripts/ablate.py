"""Compare changes of the training recipe:  python scripts/ablate.py [seeds=[1,2,3]] [key=value ...]"""

from emotion.cli import ablate

if __name__ == "__main__":
    ablate()
