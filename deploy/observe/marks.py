"""Documents of which a part is made from the code: it stands between two marks, and the rest is written by hand."""

from pathlib import Path


def between(text: str, begin: str, end: str, inside: str) -> str:
    """The text with something else between its two marks."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{inside}{end}{after}"


def write(path: Path, text: str) -> None:
    """Write a document, and say so."""
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path}")
