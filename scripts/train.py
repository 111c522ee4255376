"""Fine-tune a backbone:  python scripts/train.py [model=modernbert] [data.train=train.csv data.validation=val.csv]

Several at once:  python scripts/train.py -m model=bertweet,cardiff,modernbert
"""

from emotion.cli import train

if __name__ == "__main__":
    train()
