"""Mutations of bytes, for where no coverage guides them: the same ones in each run."""

import random
from collections.abc import Iterator, Sequence
from typing import Final

_NUMBERS: Final = [0, 1, 0x7F, 0x80, 0xFF]
_WORDS: Final = [
    b"\xff\xff\xff\xff\x0f",
    b"\x00" * 8,
    b"\xff" * 8,
    b"nan",
    b"1e999",
    b"-1",
    b"\xc3\x28",
    b'"',
    b"{",
    b"\n",
]


def mutations(seeds: Sequence[bytes], words: Sequence[bytes], limit: int, seed: int) -> Iterator[bytes]:
    """Changed seeds without end.

    seeds  valid or once interesting inputs; without any, noise is all there is
    words  that the parser knows
    limit  bytes of the longest
    """
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(seeds) if seeds else chance.randbytes(chance.randrange(64)))
        for _ in range(1 << chance.randrange(5)):
            _change(data, chance, seeds, [*_WORDS, *words])
        yield bytes(data[:limit])


def _change(data: bytearray, chance: random.Random, seeds: Sequence[bytes], words: Sequence[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + (1 << chance.randrange(10)))
    match chance.randrange(7):
        case 0 if at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(data):
            data[at] = chance.choice(_NUMBERS)
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = data[at:end] * chance.choice([1, 1, 2, 16])
        case 4:
            data[at : at + chance.choice([0, 4])] = chance.choice(words)
        case 5 if seeds:
            other = chance.choice(seeds)
            start = chance.randrange(len(other) + 1)
            data[at:end] = other[start : start + end - at]
        case _:
            data[at:at] = chance.randbytes(chance.randrange(1, 9))
