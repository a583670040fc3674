"""Docstrings are whole sentences: a formatter that parts a docstring after its first full stop has cut some of them.

"ConvK-Cout of Fig." with "1: convolution..." as its own paragraph below is what it left. So no paragraph begins with a
digit, an arrow or in lower case, except tables of parameters, formulas and indented blocks; and none ends in "Fig.".
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("wire", "jscc", "edge", "channel_emulator", "center", "deploy", "benchmarks")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PARAMETER = re.compile(r"[a-z*`][\w.*`]*(, [\w.*`]+)*(:| {2,})|(raises|returns|source|input) ")
FORMULA = re.compile(r"python -m |\w+(\(\w+\))? [=~] ")
FRAGMENT = re.compile(r"[0-9a-z]|->|\.\.\.")
ABBREVIATION = re.compile(r"\b([Ff]igs?|[Ee]qs?|[Ss]ecs?|al|e\.g|i\.e|approx|vs|[Nn]o|[Vv]ol|pp)\.$")


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, text) of the docstrings of modules, classes and functions, and of what stands below a constant."""
    for node in ast.walk(tree):
        body = node.body if isinstance(node, DOCUMENTED) else []
        for before, statement in zip([None, *body], body, strict=False):
            if (
                (before is None or isinstance(before, ast.Assign | ast.AnnAssign))
                and isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield statement.lineno, inspect.cleandoc(statement.value.value)


def faults(text: str, *, summary_too: bool) -> list[str]:
    """The paragraphs that are parts of sentences, by their first lines."""
    found = []
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        first = paragraph.split("\n")[0]
        exempt = PARAMETER.match(first) or FORMULA.match(first) or (number == 0 and not summary_too)
        if (FRAGMENT.match(first) and not exempt) or ABBREVIATION.search(paragraph):
            found.append(first)
    return found


def test_the_rule_finds_what_the_formatter_did() -> None:
    cut = "ConvK-Cout of Fig.\n\n1: convolution, ChannelNorm, ReLU. [N, C, H, W].\n"
    assert faults(cut, summary_too=False) == ["ConvK-Cout of Fig.", "1: convolution, ChannelNorm, ReLU. [N, C, H, W]."]
    assert faults("Left, right...\n\n-> right, left", summary_too=False) == ["-> right, left"]
    assert faults("send one\n\nPicture.", summary_too=True) == ["send one"]
    whole = "Send.\n\nsymbols  float\nraises  UserError\n\ny = h s + n\n\n    a -> b\n\nlimit: seconds"
    assert faults(whole, summary_too=True) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_docstring_has_a_sentence_that_is_cut(package: str) -> None:
    """In jscc the first paragraph too; elsewhere it may be a table alone, as of a private function."""
    paths = [path for path in (ROOT / package).rglob("*.py") if "wire/v1" not in path.as_posix()]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in paths
        for line, text in docstrings(ast.parse(path.read_text(encoding="utf-8")))
        for fault in faults(text, summary_too=package == "jscc")
    ]
    assert not found, "\n".join(found)
