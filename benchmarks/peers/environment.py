"""A virtual environment for each peer, so that none meets the libraries of another, nor ours."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.peers.roster import Peer

ROOT: Final = Path(__file__).resolve().parents[2]
INSTALL_SECONDS: Final = 900.0


class NotInstalled(Exception):
    """Why a peer is skipped, in one line."""


def interpreter(peer: Peer, home: Path = ROOT / ".venv") -> Path:
    """The Python of a peer's environment, which is made first where it is missing or was made for other versions.

    raises  NotInstalled
    """
    folder = home / f"peers-{peer.name}"
    python, ready, wanted = folder / "bin" / "python", folder / ".ready", "\n".join(peer.requirements)
    if ready.is_file() and ready.read_text() == wanted and python.exists():
        return python
    if shutil.which(peer.python) is None:
        raise NotInstalled(f"it needs {peer.python}, which this machine has not")
    print(f"installing {peer.title} into {folder}", flush=True)
    _run([peer.python, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements])
    ready.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"it was not installed after {INSTALL_SECONDS / 60:.0f} minutes") from None
    except OSError as error:
        raise NotInstalled(f"{command[0]} does not start: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        told = [line for line in said if "ERROR" in line] or said or ["it said nothing"]
        raise NotInstalled(f"`{' '.join(command[1:4])}` failed: {told[-1].strip()}")
