"""The pictures of a run: from folders, or from packs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from jscc.data.batches import Sources, read_sources
from jscc.data.pack import Pack, read_packs
from jscc.data.pairs import planes
from jscc.train.validation import read_validation, to_validation
from wire.geometry import PictureSize


@dataclass(frozen=True, slots=True)
class TrainingPictures:
    """What is trained on, what is validated on (float [B, 2, 3, 128, 256], or None), and the names of the folders."""

    sources: Sources
    val: Tensor | None
    pair_folders: list[str]
    mono_folders: list[str]

    def described(self) -> dict[str, Any]:
        """What run.json says of them."""
        return {"pairs": self.pair_folders, "mono": self.mono_folders, **self.sources.counts()}


def read_pictures(
    pairs: Sequence[Path], mono: Sequence[Path], val: Path | None, packs: Sequence[Path], sizes: Sequence[str] = ()
) -> TrainingPictures:
    """Read all of them; FileNotFoundError, ValueError or UserError says what cannot be used.

    sizes  as in `TrainSettings`
    """
    pictures = _read(pairs, mono, val, packs)
    for size in map(PictureSize.parse, sizes):
        if not any(pictures.sources.holding((size.rows, size.columns)).counts().values()):
            raise ValueError(f"--sizes has {size}, and no picture is so large; leave it out, or give larger pictures")
    return pictures


def _read(pairs: Sequence[Path], mono: Sequence[Path], val: Path | None, packs: Sequence[Path]) -> TrainingPictures:
    if packs:
        if pairs or mono:
            raise ValueError("--pack stands in the place of --pairs and --mono; keep one")
        pack = read_packs(packs)
        _check_any(pack.sources, "the packs hold none")
        validation = read_validation(val) if val else _validation_of(pack)
        return TrainingPictures(pack.sources, validation, pack.pair_folders, pack.mono_folders)
    sources = read_training(pairs, mono)
    return TrainingPictures(
        sources,
        read_validation(val) if val else None,
        [folder.resolve().name for folder in pairs],
        [folder.resolve().name for folder in mono],
    )


def _validation_of(pack: Pack) -> Tensor | None:
    return to_validation([planes(pair) for pair in pack.val], "the pack") if pack.val else None


def read_training(pairs: Sequence[Path], mono: Sequence[Path]) -> Sources:
    """The training pictures; FileNotFoundError or ValueError says which folder cannot be used."""
    for option, folders in (("--pairs", pairs), ("--mono", mono)):
        for folder in folders:
            if not folder.is_dir():
                raise FileNotFoundError(f"{option}: there is no folder {folder}")
    sources = read_sources(pairs, mono)
    _check_any(sources, "give --pairs or --mono")
    return sources


def _check_any(sources: Sources, remedy: str) -> None:
    if not any(sources.counts().values()):
        raise ValueError(f"no pictures to train on: {remedy}")
