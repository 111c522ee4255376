"""Answer texts over HTTP:  python scripts/serve.py weights=outputs/best_MiniLM.pt [port=8000]"""

from emotion.cli import serve

if __name__ == "__main__":
    serve()
