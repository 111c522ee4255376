"""Write a page that classifies in the browser:  python scripts/export_page.py weights=MODEL.onnx output=emotion.html"""

from emotion.cli import export_page

if __name__ == "__main__":
    export_page()
