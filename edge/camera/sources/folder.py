"""A folder of pictures, looped."""

from importlib.resources import files
from pathlib import Path
from typing import Final

import cv2

from edge.camera.sources.base import Picture, to_rgb
from wire.runtime.errors import UserError
from wire.views import View

BUILTIN_DEMO: Final = "builtin:demo"
SUFFIXES: Final = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


class Folder:
    """Pictures of one folder in the order of their names; tick k shows number k modulo their count."""

    def __init__(self, path: str, view: View) -> None:
        """path: a folder, or "builtin:demo" for the clip that is shipped (raises UserError if it is not installed)."""
        self._path = _builtin(view) if path == BUILTIN_DEMO else Path(path).expanduser()
        self._files: list[Path] = []
        self.name = f"folder {self._path}"

    def open(self) -> None:
        if not self._path.is_dir():
            raise UserError("there is no such folder; set camera.path to a folder of pictures")
        try:
            self._files = sorted(file for file in self._path.iterdir() if file.suffix.lower() in SUFFIXES)
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror}); check its permissions") from None
        if not self._files:
            raise UserError(f"no pictures in it ({', '.join(SUFFIXES)}); set camera.path to a folder of pictures")

    def picture(self, tick: int) -> Picture:
        file = self._files[tick % len(self._files)]
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if picture is None:
            raise UserError(f"{file.name} is not a readable picture; replace or remove it")
        return to_rgb(picture)

    def close(self) -> None:
        self._files = []


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
