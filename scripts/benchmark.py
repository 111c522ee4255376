"""Compare with other tools on the same work:  python scripts/benchmark.py [benchmark=train] [quick=true]"""

from emotion.cli import benchmark

if __name__ == "__main__":
    benchmark()
