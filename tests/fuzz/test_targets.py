"""Every parser of outside bytes, with its corpus and some changes of it: the short run of `make fuzz`."""

import itertools
import time
from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.mutate import mutations

INPUTS, SECONDS = 400, 1.0
"""Of each parser, whichever ends first."""
CORPUS = Path(targets.__file__).parent / "corpus"


def test_every_parser_has_a_corpus_and_every_corpus_a_parser() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(targets.TARGETS)
    assert all(targets.seeds(name) for name in targets.TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*.z")) < 2**20


@pytest.mark.filterwarnings("ignore")  # Pillow's of damaged pictures are for who looks at one, not for a thousand
@pytest.mark.parametrize("name", targets.TARGETS)
def test_bytes_give_what_the_parser_declares(name: str) -> None:
    if name == "weights":
        pytest.importorskip("torch")
    target = targets.TARGETS[name]
    for data in (b"", *targets.seeds(name)):
        target.run(data)
    until = time.monotonic() + SECONDS
    for data in itertools.islice(mutations(targets.seeds(name), targets.dictionary(name), target.limit, 0), INPUTS):
        target.run(data)
        if time.monotonic() > until:
            break


def test_a_fault_is_one() -> None:
    """What a parser does not declare comes out, and so does an error without a word."""
    with pytest.raises(ZeroDivisionError):
        targets.target(ValueError)(lambda data: 1 // len(data))(b"")
    with pytest.raises(AssertionError, match="says something"):
        _silent(b"")
    targets.TARGETS.pop("<lambda>", None)
    targets.TARGETS.pop("silent", None)


def _silent(data: bytes) -> None:
    def silent(data: bytes) -> None:
        raise ValueError

    targets.target(ValueError)(silent)(data)
