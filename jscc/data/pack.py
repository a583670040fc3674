"""A pack: the pictures of a training in one file, small enough to be carried to a GPU host.

An uncompressed zip whose folders are those of the pictures, so that `unzip` shows what is in it:

    pack.json                      format, quality and number of rows
    colour/FOLDER/left/NAME.webp   and right/: pairs in colour
    grey/FOLDER/left/NAME.webp     and right/: pairs in grey
    mono/FOLDER/NAME.webp          single pictures
    val/left/NAME.webp             and right/: validation pairs, lossless

Everything else is WebP of one quality for both views, 8 bit, at most `rows` rows (area-resized).
"""

import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from jscc.data.batches import Sources
from jscc.data.pairs import Picture, is_grey, list_pairs, list_pictures, read_pair, read_picture
from wire.crop import resize_area
from wire.runtime.errors import UserError
from wire.runtime.files import replacing

FORMAT: Final = "vergence-pack-1"
ABOUT: Final = "pack.json"
LOSSLESS: Final = 101
"""For OpenCV a WebP quality above 100 is lossless."""
QUALITIES: Final = range(40, 96)
SAMPLE: Final = 48
"""Pictures that are encoded to choose the quality."""
SAFETY: Final = 0.985
"""The share of the limit that the sample aims at; what is wrong is seen when all are encoded."""


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
    """Decode a pack with all cores. UserError if it is none, or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            about = json.loads(file.read(ABOUT))
            names = sorted(name for name in file.namelist() if name != ABOUT)
            contents = {name: file.read(name) for name in names}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"--pack {path} cannot be read ({error}); python -m jscc.pack makes one") from None
    if about.get("format") != FORMAT:
        raise UserError(f"--pack {path} has format {about.get('format')!r}; this version reads {FORMAT!r}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pictures = dict(zip(names, pool.map(lambda name: _decode(path, name, contents[name]), names), strict=True))

    def pairs(kind: str) -> list[tuple[Picture, Picture]]:
        lefts = [name for name in names if name.startswith(f"{kind}/") and _side(name) == "left"]
        return [(pictures[left], pictures[_partner(left)]) for left in lefts]

    def folders(*kinds: str) -> list[str]:
        return list(dict.fromkeys(name.split("/")[1] for name in names if name.split("/")[0] in kinds))

    try:
        sources = Sources(pairs("colour"), pairs("grey"), [pictures[n] for n in names if n.startswith("mono/")])
        return Pack(sources, pairs("val"), folders("colour", "grey"), folders("mono"))
    except KeyError as error:
        raise UserError(f"--pack {path} lacks {error}; python -m jscc.pack makes it anew") from None


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

    rows     taller pictures are area-resized to so many rows
    quality  of WebP; None takes the best that fits
    raises   what `list_pairs` and `read_pair` do; UserError if nothing fits, or two folders have one name
    """
    entries = _training_entries(pair_folders, mono_folders, rows)
    kept = _validation_entries(val) if val is not None else {}
    overhead = 400 * (len(entries) + len(kept)) + 4096  # a name stands twice in a zip
    room = limit - sum(map(len, kept.values())) - overhead
    chosen = _best_quality(list(entries.values()), room) if quality is None else quality
    while True:
        encoded = _encode_all(entries, chosen)
        size = sum(map(len, encoded.values()))
        if size <= room:
            break
        if quality is not None or chosen <= QUALITIES[0]:
            raise UserError(
                f"{len(entries)} pictures take {size / 1e6:.1f} MB at quality {chosen}, and there is room for"
                f" {max(room, 0) / 1e6:.1f} MB: leave folders out, or give another --quality, --rows or --limit-mb"
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
        for side, picture in zip(("left", "right"), read_pair(*files, "validation"), strict=True)
    }


def _add(entries: dict[str, Picture], name: str, picture: Picture) -> None:
    if name in entries:
        raise UserError(f"two folders of pictures are called {name.split('/')[1]!r}; rename one")
    entries[name] = picture


def _shrunk(picture: Picture, rows: int) -> Picture:
    if picture.shape[0] <= rows:
        return picture
    columns = round(picture.shape[1] * rows / picture.shape[0])
    return resize_area(picture, rows, columns)


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
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f"--pack {path}: {name} cannot be decoded; python -m jscc.pack makes it anew")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB if grey else cv2.COLOR_BGR2RGB), np.uint8)


def _side(name: str) -> str:
    parts = name.split("/")
    return parts[1] if parts[0] == "val" else parts[2]


def _partner(left: str) -> str:
    parts = left.split("/")
    parts[1 if parts[0] == "val" else 2] = "right"
    return "/".join(parts)
