"""The six emotions, in the order of their class indices."""

EMOTIONS: tuple[str, ...] = ("sadness", "joy", "love", "anger", "fear", "surprise")

_INDEX = {name: index for index, name in enumerate(EMOTIONS)}


def parse_label(cell: str) -> int | None:
    """Class index in [0, 6) of a CSV cell, or None where the cell names no class.

    Understands an index (``"3"``, and ``"3.0"`` as spreadsheets and pandas save it) and a name in any case
    (``"Anger"``).
    """
    cell = cell.strip().lower()
    if cell in _INDEX:
        return _INDEX[cell]
    try:
        value = float(cell)
    except ValueError:
        return None
    return int(value) if value in range(len(EMOTIONS)) else None
