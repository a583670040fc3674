"""BPG: the reference programs when they are on PATH, HEVC intra through PyAV otherwise."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jscc.evaluate.coding.hevc import Chroma, HevcIntra, guess_quality, parameter_sets
from jscc.evaluate.coding.rate_search import SourceCodec
from jscc.evaluate.systems.base import Bytes, Picture, unit
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError


def bpg_forms(*, live: bool = False) -> tuple[SourceCodec, ...]:
    """The chroma formats 4:2:0 and 4:4:4 of the best BPG encoder at hand.

    live     a faster x265 preset and 4:2:0 alone, for one frame in well under a second
    returns  forms of one codec, of which `RateSearch` takes the better one for each picture
    raises   UserError if there is no encoder
    source   F. Bellard, BPG specification, 2018: HEVC intra in a container of its own
    """
    if live:
        return (HevcIntra("4:2:0", preset="medium"),)
    if shutil.which("bpgenc") and shutil.which("bpgdec"):
        return (BpgProgram("4:2:0"), BpgProgram("4:4:4"))
    forms = (HevcIntra("4:2:0"), HevcIntra("4:4:4"))
    for form in forms:
        parameter_sets(form.chroma)
    return forms


@dataclass(frozen=True, slots=True)
class BpgProgram:
    """`bpgenc` and `bpgdec` from PATH; the whole file counts, as is usual; a quality is 51 - QP.

    raises  UserError with the program's last line where one fails
    """

    chroma: Chroma

    @property
    def name(self) -> str:
        return f"bpgenc-{self.chroma.replace(':', '')}"

    def qualities(self, budget: int) -> range:
        return range(52)

    def guess(self, budget: int, sizes: Mapping[int, int]) -> tuple[int, int]:
        return guess_quality(budget, sizes)

    def encode(self, picture: Bytes, quality: int) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.png"), Path(folder, "out.bpg")
            Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).save(source)
            chroma = self.chroma.replace(":", "")
            _run("bpgenc", "-q", str(51 - quality), "-f", chroma, "-m", "9", "-o", str(target), str(source))
            return target.read_bytes()

    def decode(self, payload: bytes, size: PictureSize = DEFAULT_SIZE) -> Picture:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in.bpg"), Path(folder, "out.png")
            source.write_bytes(payload)
            _run("bpgdec", "-o", str(target), str(source))
            with Image.open(target) as opened:
                pixels = np.asarray(opened.convert("RGB"), np.uint8)
        return unit(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        detail = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{command[0]} failed with code {done.returncode}: {detail}")
