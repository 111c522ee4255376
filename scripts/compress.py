"""Compress a fine-tuned model:  python scripts/compress.py technique=combined [weights=outputs/best_MiniLM.pt]"""

from emotion.cli import compress

if __name__ == "__main__":
    compress()
