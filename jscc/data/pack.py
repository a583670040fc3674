"""A pack: the pictures of a training in one file, small enough to be carried to a GPU host.

An uncompressed zip whose folders are those of the pictures, so that `unzip` shows what is in it:

    pack.json                      format, quality and number of rows
    colour/FOLDER/left/NAME.webp   and right/: pairs in colour
    grey/FOLDER/left/NAME.webp     and right/: pairs in grey
    mono/FOLDER/NAME.webp          single pictures
    val/left/NAME.webp             and right/: validation pairs, lossless

Everything else is WebP of one quality for both views, 8 bit, at most `rows` rows (area-resized), but for pictures that
would have less than 256 columns then.
"""

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from jscc.data.batches import Sources
from jscc.data.pairs import Picture, is_grey, list_pairs, list_pictures, read_pair, read_picture
from wire import geometry
from wire.crop import resize_area
from wire.runtime.errors import UserError, one_line
from wire.runtime.files import replacing

FORMAT: Final = "vergence-pack-1"
ABOUT: Final = "pack.json"
_ANEW: Final = "python -m jscc.pack makes it anew"
LOSSLESS: Final = 101
"""For OpenCV a WebP quality above 100 is lossless."""
QUALITIES: Final = range(40, 96)
SIDES: Final = ("left", "right")
SAMPLE: Final = 48
"""Pictures that are encoded to choose the quality."""
SAFETY: Final = 0.985
"""The share of the limit that the sample aims at; what is wrong is seen when all are encoded."""
DAMAGED: Final = (
    OSError, EOFError, LookupError, MemoryError, OverflowError, RuntimeError, ValueError, struct.error, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
"""What zipfile and json raise for a file that is not one of ours, depending on which of its bytes are wrong."""


@dataclass(frozen=True, slots=True)
class Pack:
    """What a pack holds: training pictures, validation pairs as they were, and the names of the folders."""

    sources: Sources
    val: list[tuple[Picture, Picture]]
    pair_folders: list[str]
    mono_folders: list[str]


def read_packs(paths: Sequence[Path]) -> Pack:
    """What several packs hold together: a carrier may have a limit that one pack would break."""
    packs = [read_pack(path) for path in paths]
    return Pack(
        Sources(
            [pair for pack in packs for pair in pack.sources.colour],
            [pair for pack in packs for pair in pack.sources.grey],
            [picture for pack in packs for picture in pack.sources.mono],
        ),
        [pair for pack in packs for pair in pack.val],
        [name for pack in packs for name in pack.pair_folders],
        [name for pack in packs for name in pack.mono_folders],
    )


def read_pack(path: Path) -> Pack:
    """Decode a pack with all cores. UserError if it is none, or damaged, or has pictures that training would refuse."""
    try:
        with zipfile.ZipFile(path) as file:
            about = json.loads(file.read(ABOUT))
            # A pack that was unpacked and packed again by hand has entries for its folders too.
            names = sorted({name for name in file.namelist() if name != ABOUT and not name.endswith("/")})
            contents = {name: file.read(name) for name in names}
    except DAMAGED as error:
        raise UserError(f"--pack {path} cannot be read ({_why(error)}); python -m jscc.pack makes one") from None
    found = about.get("format") if isinstance(about, dict) else None
    if found != FORMAT:
        raise UserError(f"--pack {path} has format {one_line(str(found), 40)!r}; this version reads {FORMAT!r}")
    _check_names(path, names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = dict(zip(names, pool.map(lambda name: _decode(path, name, contents[name]), names), strict=True))

    def pairs(kind: str) -> list[tuple[Picture, Picture]]:
        return [_pair(path, left, pictures) for left in names if left.startswith(f"{kind}/") and _side(left) == "left"]

    def folders(*kinds: str) -> list[str]:
        return list(dict.fromkeys(name.split("/")[1] for name in names if name.split("/")[0] in kinds))

    sources = Sources(pairs("colour"), pairs("grey"), [pictures[n] for n in names if n.startswith("mono/")])
    return Pack(sources, pairs("val"), folders("colour", "grey"), folders("mono"))


def _check_names(path: Path, names: Sequence[str]) -> None:
    """UserError for an entry that no pack has, and for a view without its partner."""
    known = set(names)
    for name in names:
        kind, side = name.split("/")[0], _side(name)
        if not (kind == "mono" and side is not None) and not (kind in ("colour", "grey", "val") and side in SIDES):
            raise UserError(f"--pack {path} holds {one_line(name, 80)!r}, which no pack has; {_ANEW}")
        if kind != "mono" and (partner := _partner(name)) not in known:
            raise UserError(f"--pack {path} lacks {one_line(partner, 80)!r}; {_ANEW}")


def _pair(path: Path, left: str, pictures: Mapping[str, Picture]) -> tuple[Picture, Picture]:
    pair = pictures[left], pictures[_partner(left)]
    if pair[0].shape != pair[1].shape:
        raise UserError(f"--pack {path}: the views of {one_line(left, 80)} differ in size; {_ANEW}")
    return pair


def _why(error: Exception) -> str:
    return one_line(str(error), 120) or type(error).__name__


def write_pack(
    path: Path,
    pair_folders: Sequence[Path],
    mono_folders: Sequence[Path],
    val: Path | None,
    *,
    rows: int,
    limit: int,
    quality: int | None = None,
) -> tuple[int, int]:
    """Write a pack of at most `limit` bytes; returns (bytes, quality).

    rows     taller pictures are area-resized to so many rows, or as far as 256 columns are left
    quality  of WebP; None takes the best that fits
    raises   what `list_pairs` and `read_pair` do; UserError if nothing fits, two folders have one name, or `rows` are
             fewer than training takes
    """
    if rows < geometry.HEIGHT:
        raise UserError(f"--rows is {rows}; it must be at least {geometry.HEIGHT}, which training needs")
    entries = _training_entries(pair_folders, mono_folders, rows)
    kept = _validation_entries(val) if val is not None else {}
    lossless = sum(map(len, kept.values()))
    room = limit - lossless - _overhead([*entries, *kept])
    chosen = _best_quality(list(entries.values()), room) if quality is None else quality
    while True:
        encoded = _encode_all(entries, chosen)
        size = sum(map(len, encoded.values()))
        if size <= room:
            break
        if quality is not None or chosen <= QUALITIES[0]:
            beside = f" beside {lossless / 1e6:.1f} MB of --val, which is kept as it is" if kept else ""
            raise UserError(
                f"{len(entries)} pictures take {size / 1e6:.1f} MB at quality {chosen}, and there is room for"
                f" {max(room, 0) / 1e6:.1f} MB{beside}: leave folders out, or give another --quality, --rows or"
                " --limit-mb"
            )
        chosen -= 1
    about = {"format": FORMAT, "quality": chosen, "rows": rows}
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as file:
        file.writestr(ABOUT, json.dumps(about))
        for name, content in {**encoded, **kept}.items():
            file.writestr(name, content)
    return path.stat().st_size, chosen


def _training_entries(pair_folders: Sequence[Path], mono_folders: Sequence[Path], rows: int) -> dict[str, Picture]:
    entries: dict[str, Picture] = {}
    for folder in pair_folders:
        for name, files in list_pairs(folder).items():
            left, right = read_pair(*files, "training")
            kind = "grey" if is_grey(left) else "colour"
            for side, picture in (("left", left), ("right", right)):
                _add(entries, f"{kind}/{folder.resolve().name}/{side}/{name}.webp", _shrunk(picture, rows))
    for folder in mono_folders:
        for path in list_pictures(folder):
            name = f"mono/{folder.resolve().name}/{path.relative_to(folder)}.webp"
            _add(entries, name, _shrunk(read_picture(path, "training"), rows))
    return entries


def _validation_entries(folder: Path) -> dict[str, bytes]:
    return {
        f"val/{side}/{name}.webp": _encode(picture, LOSSLESS)
        for name, files in list_pairs(folder).items()
        for side, picture in zip(SIDES, read_pair(*files, "validation"), strict=True)
    }


def _add(entries: dict[str, Picture], name: str, picture: Picture) -> None:
    if name in entries:
        raise UserError(f"two folders of pictures are called {name.split('/')[1]!r}; rename one")
    entries[name] = picture


def _overhead(names: Sequence[str]) -> int:
    """Bytes of a zip that are not its pictures, at most: headers, and each name twice (APPNOTE 4.3.7, 4.3.12 to 16)."""
    each = sum(30 + 46 + 28 + 2 * len(name.encode()) for name in (ABOUT, *names))  # 28: of an entry beyond 2 GiB
    return each + 22 + 20 + 56 + 100  # the end, for a zip beyond 4 GiB too, and the content of pack.json


def _shrunk(picture: Picture, rows: int) -> Picture:
    """As `rows` asks for, but no smaller than training needs."""
    height, width = picture.shape[:2]
    if height <= rows or width <= geometry.WIDTH:
        return picture
    if rows * width >= geometry.WIDTH * height:
        return resize_area(picture, rows, round(width * rows / height))
    return resize_area(picture, round(height * geometry.WIDTH / width), geometry.WIDTH)


def _best_quality(entries: Sequence[Picture], room: int) -> int:
    """The best quality at which, by a sample, all would fit."""
    sample = entries[:: max(1, len(entries) // SAMPLE)]
    low, high = QUALITIES[0], QUALITIES[-1]
    while low < high:
        middle = (low + high + 1) // 2
        size = sum(len(_encode(entry, middle)) for entry in sample) / len(sample) * len(entries)
        low, high = (middle, high) if size <= SAFETY * room else (low, middle - 1)
    return low


def _encode_all(entries: dict[str, Picture], quality: int) -> dict[str, bytes]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        encoded: Iterable[bytes] = pool.map(lambda entry: _encode(entry, quality), entries.values())
        return dict(zip(entries, encoded, strict=True))


def _encode(picture: Picture, quality: int) -> bytes:
    done, content = cv2.imencode(".webp", picture[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise OSError("OpenCV cannot write WebP here")
    return bytes(content)


def _decode(path: Path, name: str, content: bytes) -> Picture:
    grey = name.startswith("grey/")
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    except cv2.error:  # of an empty one, or one that is too large
        picture = None
    if picture is None:
        raise UserError(f"--pack {path}: {one_line(name, 80)} cannot be decoded; {_ANEW}")
    rows, columns = picture.shape[:2]
    if rows < geometry.HEIGHT or columns < geometry.WIDTH:
        raise UserError(
            f"--pack {path}: {one_line(name, 80)} is {rows}x{columns} (rows x columns); training needs at least"
            f" {geometry.DEFAULT_SIZE}; {_ANEW}"
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB), np.uint8)


def _side(name: str) -> str | None:
    """The folder that tells left from right, or of a single picture what follows its folder; None if there is none."""
    parts = name.split("/")
    at = 1 if parts[0] == "val" else 2
    return parts[at] if len(parts) > at + (parts[0] != "mono") else None


def _partner(name: str) -> str:
    """The other view's name."""
    parts = name.split("/")
    at = 1 if parts[0] == "val" else 2
    parts[at] = SIDES[1 - SIDES.index(parts[at])]
    return "/".join(parts)
