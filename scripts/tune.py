"""Search for settings:  python scripts/tune.py 'search={model.learning_rate: [1e-5, 2e-4, log]}' [key=value ...]"""

from emotion.cli import tune

if __name__ == "__main__":
    tune()
