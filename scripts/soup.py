"""Average checkpoints:  python scripts/soup.py 'weights=[a.pt,b.pt]' output=soup.pt data.validation=v.csv"""

from emotion.cli import soup

if __name__ == "__main__":
    soup()
