"""KITTI Stereo by the literature's split, for training and for comparison with the paper.

`python -m jscc.kitti --archives FOLDER --out kitti` reads KITTI's archives (zipped or unpacked) and makes

    kitti/train        788 pairs, full width, 256 rows: the trainer cuts random windows of many places and sizes
    kitti/train-paper  the same pairs as the paper saw them: the centre 370x740, area-resized to 128x256
    kitti/val, test    395 pairs each, 128x256 as well

The same command again goes on where it stopped. The split is the one of DSIN (Ayzik, Avidan, ECCV 2020) and NDIC (Mital
et al., DCC 2022), which the paper follows. Their lists name every pair in both orders (1576 and 790 lines); here each
pair stands once, and since the lists leave no scene out, counts say it all. A test compares them with the lists.
"""

import argparse
import errno
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from jscc.cli import exit_code
from jscc.data.synthetic_stereo import Picture
from wire import geometry
from wire.crop import center_crop, resize_area
from wire.runtime.errors import UserError, cause
from wire.runtime.files import write_atomically

TRAIN_ROWS: Final = 256
SIDES: Final = ("left", "right")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of KITTI's two stereo benchmarks: scenes of each part; archives as (name, left colour folder, right)."""

    name: str
    training: int
    testing: int
    archives: tuple[tuple[str, str, str], ...]
    page: str


SCENE_FLOW: Final = Benchmark(
    "kitti2015",
    200,
    200,
    (("data_scene_flow_multiview", "image_2", "image_3"), ("data_scene_flow", "image_2", "image_3")),
    "'Scene Flow Evaluation 2015', https://www.cvlibs.net/datasets/kitti/eval_scene_flow.php",
)
STEREO_FLOW: Final = Benchmark(
    "kitti2012",
    194,
    195,
    (("data_stereo_flow_multiview", "image_2", "image_3"), ("data_stereo_flow", "colored_0", "colored_1")),
    "'Stereo Evaluation 2012', https://www.cvlibs.net/datasets/kitti/eval_stereo_flow.php",
)
BENCHMARKS: Final = (SCENE_FLOW, STEREO_FLOW)
SPLITS: Final = {"train": ("training", (10, 11)), "val": ("testing", (11,)), "test": ("testing", (10,))}
"""The part of each benchmark, and the frames of each of its scenes."""


@dataclass(frozen=True, slots=True)
class PairName:
    """Where a pair stands in KITTI."""

    benchmark: Benchmark
    part: str
    scene: int
    frame: int

    def member(self, folder: str) -> str:
        """The picture in a folder of an archive, such as training/image_2/000000_10.png."""
        return f"{self.part}/{folder}/{self.scene:06d}_{self.frame:02d}.png"

    def __str__(self) -> str:
        """The name of our file, the same for both views."""
        return f"{self.benchmark.name}-{self.part}-{self.scene:06d}_{self.frame:02d}.png"


def pairs_of(split: str) -> list[PairName]:
    """All pairs of "train", "val" or "test", each once."""
    part, frames = SPLITS[split]
    return [
        PairName(benchmark, part, scene, frame)
        for benchmark in BENCHMARKS
        for scene in range(getattr(benchmark, part))
        for frame in frames
    ]


class Source:
    """An archive of KITTI, as the zip file that was downloaded (closed by `opened`) or as a folder."""

    def __init__(self, path: Path, views: Sequence[str], opened: ExitStack) -> None:
        self.path, self.views = path, views
        self._zip: zipfile.ZipFile | None = None
        if path.suffix == ".zip":
            try:
                self._zip = opened.enter_context(zipfile.ZipFile(path))
            except (zipfile.BadZipFile, OSError) as error:
                raise UserError(f"{path} is damaged or incomplete ({error}); download it again") from None
            members = (name for name in self._zip.namelist() if name.endswith(".png"))
            self._members = {"/".join(name.split("/")[-3:]): name for name in members}

    def has(self, member: str) -> bool:
        """Whether the picture is there."""
        return (self.path / member).is_file() if self._zip is None else member in self._members

    def read(self, member: str) -> Picture:
        """One picture, uint8 [rows, columns, 3] in OpenCV's BGR; UserError for a damaged one or one of another kind."""
        where = f"{self.path}: {member}"
        try:
            raw = (self.path / member).read_bytes() if self._zip is None else self._zip.read(self._members[member])
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise UserError(f"{where} cannot be read ({error}); download the archive again") from None
        picture = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED) if whole_png(raw) else None
        if picture is None:
            raise UserError(f"{where} is not a whole PNG picture; unpack or download the archive again")
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise UserError(f"{where} is not an 8-bit colour picture, so this is not the archive that KITTI offers")
        (rows, columns), (least_rows, least_columns) = picture.shape[:2], geometry.KITTI_CROP
        if rows < least_rows or columns < least_columns:
            raise UserError(
                f"{where} is {rows}x{columns} (rows x columns); the paper's crop needs {least_rows}x{least_columns}"
            )
        return np.asarray(picture, np.uint8)


def sources_in(folder: Path, benchmark: Benchmark, opened: ExitStack) -> list[Source]:
    """The archives of a benchmark that are in a folder, best first.

    opened  closes in the end what is opened here
    raises  UserError if there is none
    """
    if not folder.is_dir():
        raise UserError(f"--archives {folder}: there is no such folder")
    found = []
    for name, *views in benchmark.archives:
        paths = (path for path in (folder / f"{name}.zip", folder / name) if path.exists())
        found += [Source(path, views, opened) for path in paths]
    if not found:
        names = " nor ".join(f"{name}.zip" for name, *_ in benchmark.archives)
        raise UserError(
            f"{folder} has neither {names}, nor a folder so called;"
            f" download one of them (both have the pictures) from KITTI's page {benchmark.page}"
        )
    return found


def locate(folder: Path, opened: ExitStack) -> dict[PairName, Source]:
    """The first source that has both views, for every pair of the split.

    folder  with the downloads of KITTI
    opened  as in `sources_in`
    raises  UserError that names what is missing
    """
    located: dict[PairName, Source] = {}
    for benchmark in BENCHMARKS:
        sources = sources_in(folder, benchmark, opened)
        wanted = [pair for split in SPLITS for pair in pairs_of(split) if pair.benchmark is benchmark]
        for pair in wanted:
            for source in sources:
                if all(source.has(pair.member(view)) for view in source.views):
                    located[pair] = source
                    break
        missing = [pair for pair in wanted if pair not in located]
        if missing:
            looked = " and ".join(str(source.path) for source in sources)
            views = " or ".join(missing[0].member(view) for view in sources[0].views)
            raise UserError(
                f"{len(missing)} of {len(wanted)} pairs are not in {looked}, first {views}; download it again"
            )
    return located


def paper_crop(picture: Picture) -> Picture:
    """The paper's preprocessing: the centre 370x740, area-resized.

    picture  uint8 [rows, columns, 3], at least 370x740
    returns  uint8 [128, 256, 3]
    source   paper, section 4
    """
    return center_crop(picture, geometry.KITTI_CROP)


def full_width(picture: Picture) -> Picture:
    """The whole picture, area-resized to 256 rows: every window that the trainer cuts is still made smaller.

    picture  uint8 [rows, columns, 3], at least 256 rows
    returns  uint8 [256, columns in proportion, 3]
    """
    columns = round(picture.shape[1] * TRAIN_ROWS / picture.shape[0])
    return resize_area(picture, TRAIN_ROWS, columns)


FORMS: Final[dict[str, tuple[str, Callable[[Picture], Picture], int]]] = {
    "train": ("train", full_width, TRAIN_ROWS),
    "train-paper": ("train", paper_crop, geometry.HEIGHT),
    "val": ("val", paper_crop, geometry.HEIGHT),
    "test": ("test", paper_crop, geometry.HEIGHT),
}
"""What each folder holds: the pairs of a split, in a form, with so many rows."""


def whole_png(raw: bytes, rows: int | None = None) -> bool:
    """Whether these are the bytes of a PNG file up to its end, of so many rows if given."""
    whole = raw.startswith(b"\x89PNG\r\n\x1a\n") and raw.endswith(b"IEND\xaeB`\x82")
    return whole and rows in (None, int.from_bytes(raw[20:24], "big"))


def write(path: Path, picture: Picture) -> None:
    """One PNG file, in one move: there is never half a picture under its name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, cv2.imencode(".png", picture)[1].tobytes())
    except OSError as error:
        hint = "; the whole set takes 0.8 GB" if error.errno == errno.ENOSPC else ""
        raise UserError(f"cannot write {path}: {cause(error)}{hint}; the same command goes on from here") from None


def make(archives: Path, out: Path) -> Iterator[tuple[int, bool, int]]:
    """Make every picture that is not there yet.

    archives  folder with the downloads of KITTI
    out       folder of the pairs, made if it is not there
    yields    (pairs done, whether this one was there already, pairs in all)
    raises    UserError, one line, for whatever the user can mend
    """
    with ExitStack() as opened:
        located = locate(archives, opened)
        done = 0
        for split in SPLITS:
            for pair in pairs_of(split):
                lacking = [
                    (path, form, index)
                    for folder, (of, form, rows) in FORMS.items()
                    if of == split
                    for index, side in enumerate(SIDES)
                    if not _is_whole(path := out / folder / side / str(pair), rows)
                ]
                if lacking:
                    source = located[pair]
                    pictures = [source.read(pair.member(view)) for view in source.views]
                    if pictures[0].shape != pictures[1].shape:
                        raise UserError(
                            f"{source.path}: the two views of {pair} differ in size; download the archive again"
                        )
                    for path, form, index in lacking:
                        write(path, form(pictures[index]))
                done += 1
                yield done, not lacking, len(located)


def _is_whole(path: Path, rows: int) -> bool:
    return path.is_file() and whole_png(path.read_bytes(), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 2 for what the user can mend, 130 when stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m jscc.kitti",
        description="KITTI's archives -> train, train-paper, val and test, left/ and right/",
    )
    parser.add_argument(
        "--archives",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="with data_scene_flow_multiview and data_stereo_flow_multiview, as .zip or unpacked into folders so called"
        " (data_scene_flow and data_stereo_flow will do)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets the pictures, 0.8 GB")
    args = parser.parse_args(arguments)
    return exit_code(lambda: _make_all(args.archives, args.out))


def _make_all(archives: Path, out: Path) -> None:
    """`make`, with progress on the screen."""
    live, there = sys.stdout.isatty(), 0
    for done, skipped, count in make(archives, out):
        there += skipped
        if live or done % 100 == 0 or done == count:
            print(f"{done}/{count} pairs", end="\r" if live and done < count else "\n", flush=True)
    print(f"{out}: {', '.join(FORMS)} are complete ({there} pairs were there already)")


if __name__ == "__main__":
    sys.exit(main())
