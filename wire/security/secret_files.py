"""Secrets come from files: of `/run/secrets`, of systemd's `LoadCredential`, of a mounted Kubernetes secret.

Not from the environment, which every child process inherits and crash reports show.
"""

import logging
import os
import stat
from pathlib import Path
from typing import Final

from wire.runtime.errors import UserError, cause

LONGEST: Final = 4096
"""Bytes of a secret."""
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"

_log = logging.getLogger(__name__)
_told = set[Path]()


def located(path: Path | str) -> Path:
    """A path of a configuration as one of the file system: `~`, and systemd's `$CREDENTIALS_DIRECTORY` in front.

    raises  UserError if that is meant and systemd gave none
    """
    text = str(path)
    for variable in (f"${_CREDENTIALS}/", f"${{{_CREDENTIALS}}}/"):
        if text.startswith(variable):
            folder = os.environ.get(_CREDENTIALS)
            if not folder:
                raise UserError(
                    f"{text}: systemd gave no CREDENTIALS_DIRECTORY; start the service by a unit with LoadCredential="
                )
            return Path(folder) / text.removeprefix(variable)
    return Path(text).expanduser()


def read_secret(path: Path | str) -> str:
    """The secret in a file, without the newline that editors put at its end.

    A file that others on the host can read is told once in the log, and taken: Kubernetes mounts secrets so.

    raises  UserError that names the file, never what is in it
    """
    file = located(path)
    try:
        with file.open("rb") as opened:
            data = opened.read(LONGEST + 1)
            warn_if_open(file, os.fstat(opened.fileno()).st_mode)
    except OSError as error:
        raise UserError(f"secret {file}: {cause(error)}; give a file that this service may read") from None
    text = data.removesuffix(b"\n").removesuffix(b"\r").decode("ascii", errors="replace")
    if not text:
        raise UserError(f"secret {file}: the file is empty; put the secret into it")
    if len(data) > LONGEST or not all("!" <= letter <= "~" for letter in text):
        raise UserError(f"secret {file}: not one line of printable letters without blanks; put only the secret into it")
    return text


def warn_if_open(file: Path, mode: int) -> None:
    """Tell once that a secret can be read by others than its owner."""
    if stat.S_IMODE(mode) & 0o077 and file not in _told:
        _told.add(file)
        _log.warning("secret %s can be read by others on this host (mode %03o); chmod 600", file, stat.S_IMODE(mode))
