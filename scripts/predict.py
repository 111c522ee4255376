"""Predict a CSV:  python scripts/predict.py weights=outputs/best_MiniLM.pt csv=test.csv [probabilities=true]"""

from emotion.cli import predict

if __name__ == "__main__":
    predict()
