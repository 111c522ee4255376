"""Write a folder for the Hugging Face hub:  python scripts/export.py weights=outputs/best_MiniLM.pt output=MiniLM"""

from emotion.cli import export

if __name__ == "__main__":
    export()
