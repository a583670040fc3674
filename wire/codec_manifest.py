"""What a codec is, byte for byte: SHA256SUMS in its folder lists its files, and the codec hash stands for the list.

The edge loads the encoder and the center the decoder, from files of their own. Each checks its file against the list,
and both compare the hash of the list: so they agree only if the bytes that run on both sides are of one codec.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wire.runtime.errors import UserError, cause
from wire.runtime.files import write_atomically

MANIFEST_FILE: Final = "SHA256SUMS"
"""As `sha256sum` writes it; `sha256sum --check --ignore-missing SHA256SUMS` checks a folder by hand."""
COVERED: Final = ("decoder.onnx", "encoder.onnx", "model.safetensors")
"""Files that the list must have. A host may lack those that it does not load."""
INT8_FILE: Final = "decoder.i8.onnx"
LISTED: Final = (*COVERED, INT8_FILE)
"""Files that the list may have. The decoder in 8-bit integers is made of the others, for centers alone: it is held to
its line, which is no part of the codec hash."""
ANEW: Final = "copy the codec's folder again, or make it with `vergence-edge export` (needs the train extra)"

MAKE_INT8: Final = "make one with `python -m jscc.release.int8` (needs the train extra)"
"""What to do where the decoder in 8-bit integers is missing, or of another decoder."""

_LARGEST: Final = 64 * 2**10
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](.+)")


@dataclass(frozen=True, slots=True)
class Manifest:
    """SHA-256 of the listed files, 64 hexadecimal digits by name."""

    sums: dict[str, str]

    @property
    def text(self) -> str:
        """The list in its one spelling: sorted by name."""
        return _spelt(self.sums, LISTED)

    @property
    def codec_hash(self) -> str:
        """What edge and center compare: the first 16 hexadecimal digits of the SHA-256 of the covered files' lines."""
        return hashlib.sha256(_spelt(self.sums, COVERED).encode()).hexdigest()[:16]

    def check(self, path: Path, content: bytes) -> None:
        """raises UserError if the content is not that of the listed file of this name"""
        remedy = MAKE_INT8 if path.name == INT8_FILE else ANEW
        if path.name not in self.sums:
            raise UserError(f"{path} is not listed in {MANIFEST_FILE} beside it; {remedy}")
        if hashlib.sha256(content).hexdigest() != self.sums[path.name]:
            raise UserError(f"{path} is not the file that {MANIFEST_FILE} beside it lists: it is damaged; {remedy}")


def read(folder: Path) -> Manifest | None:
    """The manifest of a codec's folder; None if it has none, as those that version 0.1 made.

    raises  UserError if there is one that cannot be read or does not list every covered file once
    """
    path = folder / MANIFEST_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({cause(error)}); {ANEW}") from error
    lines = [_LINE.fullmatch(line) for line in content.decode("utf-8", "replace").splitlines()]
    listed = [(line[2], line[1]) for line in lines if line and line[2] in LISTED]
    names = sorted(name for name, _ in listed)
    if len(content) > _LARGEST or None in lines or names not in (sorted(COVERED), sorted(LISTED)):
        raise UserError(f"{path} is damaged: it must list {', '.join(COVERED)} once each; {ANEW}")
    return Manifest(dict(listed))


def write(folder: Path, weights: Path) -> Manifest:
    """List the files of a codec: the two ONNX files of its folder, and the weights that they were made of.

    weights  model.safetensors, there or elsewhere
    raises   OSError
    """
    paths = [folder / name if name.endswith(".onnx") else weights for name in COVERED]
    sums = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in zip(COVERED, paths, strict=True)}
    made = Manifest(sums)
    write_atomically(folder / MANIFEST_FILE, made.text)
    return made


def add_int8(folder: Path) -> None:
    """List the decoder in 8-bit integers too. raises OSError, or UserError as `read` does"""
    if made := read(folder):
        digest = hashlib.sha256((folder / INT8_FILE).read_bytes()).hexdigest()
        write_atomically(folder / MANIFEST_FILE, Manifest({**made.sums, INT8_FILE: digest}).text)


def _spelt(sums: dict[str, str], names: tuple[str, ...]) -> str:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(names) if name in sums)
