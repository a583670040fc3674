"""A folder of pictures, looped."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from edge.camera.frame_clock import FrameClock
from edge.camera.framing import Fit, fit
from edge.camera.sources.base import Picture, SkippedFrame
from wire.pictures import SUFFIXES, PictureError, list_pictures, read_picture
from wire.runtime.errors import FrameError, UserError
from wire.views import View

BUILTIN_DEMO: Final = "builtin:demo"


class Folder:
    """Pictures of one folder in the natural order of their names; tick k shows number k modulo their count. A file that
    cannot be shown leaves its tick empty, so that the others keep theirs."""

    def __init__(self, path: str, view: View, fit: Fit = fit) -> None:
        """path: a folder, or "builtin:demo" for the clip that is shipped (raises UserError if it is not installed).
        fit: brings pictures to the size that is sent."""
        self._path = _builtin(view) if path == BUILTIN_DEMO else Path(path).expanduser()
        self._fit = fit
        self._files: list[Path] = []
        self.name = f"folder {self._path}"

    def open(self) -> None:
        """raises UserError if there is no folder, no picture in it, or none that can be shown"""
        if not self._path.is_dir():
            raise UserError("there is no such folder; set camera.path to a folder of pictures")
        self._files = list_pictures(self._path)
        if not self._files:
            raise UserError(f"no pictures in it ({', '.join(SUFFIXES)}); set camera.path to a folder of pictures")
        self._find_one()

    def picture(self, tick: int) -> Picture:
        file = self._files[tick % len(self._files)]
        try:
            return self._fitted(file)
        except PictureError as error:
            raise SkippedFrame(file.name, f"{error}; skipped") from None

    def loop_s(self, ticks: FrameClock) -> float:
        return float(ticks.seconds(len(self._files)))

    def close(self) -> None:
        self._files = []

    def _find_one(self) -> None:
        """raises the first file's error if not one picture can be shown"""
        first: UserError | None = None
        for file in self._files:
            try:
                self._fitted(file)
            except PictureError as error:
                first = first or error
            else:
                return
        if first is not None:
            raise first

    def _fitted(self, file: Path) -> Picture:
        """raises PictureError, which names the file, also if it is too small"""
        try:
            return self._fit(read_picture(file))
        except FrameError as error:
            raise PictureError(f"{file}: {error}") from None


def _builtin(view: View) -> Path:
    try:
        package = Path(str(files("deploy.local")))
    except ModuleNotFoundError:
        package = Path()
    footage = package / "footage" / view.value
    if not footage.is_dir():
        raise UserError(
            f"the clip {BUILTIN_DEMO} is not installed (deploy.local); set camera.path to a folder of pictures"
        )
    return footage
