"""docs/errors.md and the source say the same: what is listed there is said somewhere, and what is said is listed."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path

import pytest

import vergence

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "errors.md"
GAP = "\0"
"""In a message of the source: what is filled in when it is raised."""
FILLED_IN = re.compile(r"\b[A-Z][A-Z0-9_]*(?:x[A-Z]+)*\b")
"""In a line of the page: capital letters stand for what varies."""
REST = "\1"
"""In a line of the page: dots stand for words that are left out."""
SHORTEST = 8
"""Letters that a message or a line must have of its own; what has fewer is put together from others."""


@dataclass
class Said:
    """A message in the source. text: with gaps; place: file:line."""

    text: str
    place: str

    @cached_property
    def words(self) -> set[str]:
        return words(self.text)


def has_words(text: str) -> bool:
    return len(re.findall(r"[a-z]", text)) >= SHORTEST


def text_of(node: ast.expr) -> str | None:
    """A literal, an f-string, a sum of those; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(GAP if isinstance(part, ast.FormattedValue) else str(text_of(part)) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [text_of(node.left), text_of(node.right)]
        return None if parts == [None, None] else "".join(part or GAP for part in parts)
    return None


def trees() -> Iterator[tuple[Path, ast.Module]]:
    files = [Path(vergence.__file__), *(path for name in vergence.PACKAGES for path in (ROOT / name).rglob("*.py"))]
    for path in sorted(files):
        if "wire/v1" not in path.as_posix():
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def user_errors() -> set[str]:
    """UserError and every class that derives from it."""
    bases = {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"UserError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def raised() -> list[Said]:
    """The messages of all errors that a user meets, wherever one is made."""
    errors, found = user_errors(), []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in errors:
                texts = [text for argument in node.args if (text := text_of(argument)) is not None]
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                found += [Said(line, place) for text in texts for line in text.splitlines() if " " in line]
    return [said for said in found if has_words(said.text)]


def written() -> list[Said]:
    """Every text of the source, docstrings aside, with the gaps of f-strings, of % and of str.format."""
    found = []
    for path, tree in trees():
        for node in ast.walk(tree):
            text = text_of(node) if isinstance(node, ast.expr) else None
            if text is not None and " " in text:
                gaps = re.sub(r"%[-+ #0]*\d*(?:\.\d+)?[a-z]|\{[^{} ]*\}", GAP, text)
                place = f"{path.relative_to(ROOT)}:{node.lineno}"  # type: ignore[attr-defined]
                found += [Said(line, place) for line in gaps.splitlines()]
    return [said for said in found if has_words(said.text)]


def listed() -> list[str]:
    """The lines of the page: what stands in backticks in the columns headed `line`."""
    found, column = [], None
    for row in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)]
        if not row.startswith("|"):
            column = None
        elif column is None:
            column = cells.index("line") if "line" in cells else -1
        elif column > 0 and not row.startswith("|--"):
            found += [span.replace("\\|", "|") for span in re.findall(r"`([^`]+)`", cells[column])]
    return [line for line in found if has_words(line)]


def words(text: str) -> set[str]:
    """Those of some length that stand there in full."""
    return {word for word in re.findall(r"[^\s(),.;:'`]{4,}", text) if GAP not in word and REST not in word}


def fits(line: str, said: Said) -> bool:
    """Whether a line of the page and a message are one, what varies aside on either side."""
    text = line.replace("...", REST).replace("…", REST)
    text = FILLED_IN.sub(GAP, text)
    if said.words.isdisjoint(words(text)):
        return False
    # A file or a camera is named in front of what is wrong with it, often by somebody else.
    _, _, behind = text.partition(": ")
    return same(text, said.text) or (not said.words.isdisjoint(words(behind)) and same(behind, said.text))


def same(line: str, said: str) -> bool:
    """Word by word: the dots of the page stand for any words, a gap of either side for one or two of the other's."""
    lines, saids = line.split(), said.split()

    @cache
    def rest(i: int, j: int) -> bool:
        if i == len(lines):
            return j == len(saids)
        if REST in lines[i]:
            word = lines[i].replace(REST, GAP)
            return any(rest(i + 1, k) for k in range(j, len(saids) + 1) if unify(word, " ".join(saids[j:k])))
        for n, m in ((1, 1), (2, 1), (1, 2)):
            left, right = " ".join(lines[i : i + n]), " ".join(saids[j : j + m])
            if i + n <= len(lines) and j + m <= len(saids) and unify(left, right):
                return rest(i + n, j + m)
        return False

    return rest(0, 0)


@cache
def unify(one: str, other: str) -> bool:
    """Whether two texts with gaps can be filled in so that they are the same."""
    row = [True, *accumulate((letter == GAP for letter in other), lambda a, b: a and b)]
    for letter in one:
        before, row = row, [row[0] and letter == GAP]
        for column, opposite in enumerate(other):
            alike = letter == opposite and before[column]
            row.append(alike or (GAP in (letter, opposite) and (before[column + 1] or row[column])))
    return row[-1]


LINES = listed()


def test_lines_and_messages_are_compared() -> None:
    said = Said(f"rig '{GAP}' has a {GAP} camera already; give this one another rig", "")
    assert fits("rig 'R' has a left camera already; …", said)
    assert not fits("rig 'R' has a left camera already", said)
    assert not fits("rig 'R' has no left camera already; …", said)
    assert not fits("the rig has a left camera already; …", said)


def test_the_page_has_lines() -> None:
    assert len(LINES) > 100


@pytest.fixture(scope="module")
def texts() -> list[Said]:
    return written()


@pytest.mark.parametrize("line", LINES)
def test_what_is_listed_is_said(line: str, texts: list[Said]) -> None:
    assert any(fits(line, said) for said in texts), "nobody says this any more: change the line, or remove it"


@pytest.mark.parametrize("said", raised(), ids=lambda said: said.place)
def test_what_is_said_is_listed(said: Said) -> None:
    assert any(fits(line, said) for line in LINES), f"list it in docs/errors.md: {said.text.replace(GAP, '…')}"
