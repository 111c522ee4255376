"""Print a soup that was made."""

from rich.console import Console

from emotion.reporting.tables import Table, to_console
from emotion.soup.run import Soup


def print_soup(soup: Soup) -> None:
    """Print the members, the best first, and what the soup scores."""
    rows = [
        (path, f"{macro_f1:.4f}", "yes" if path in soup.chosen else "no") for path, macro_f1 in soup.members.items()
    ]
    console = Console()
    console.print(to_console(Table("Checkpoints", ("file", "macro F1", "in the soup"), rows)))
    scored = {"validation": soup.scores, **soup.evaluations}
    lines = [(name, f"{each.accuracy:.4f}", f"{each.macro_f1:.4f}") for name, each in scored.items()]
    console.print(to_console(Table(f"The soup: {soup.output}", ("set", "accuracy", "macro F1"), lines)))
