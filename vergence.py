"""What the console scripts start, after a look whether Python's path leads to our packages.

vergence is an application: `wire`, `edge`, `center` and the others are names of folders here, not names that another
project may rely on, and another one's may be called the same (docs/adr/0007-an-application.md). This module has a name
of its own, so it can tell.

    python -P vergence.py edge run --config FILE        as `vergence-edge run --config FILE`
"""

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

PACKAGES: Final = ("wire", "jscc", "edge", "channel_emulator", "center", "deploy")
_HOME: Final = Path(__file__).resolve().parent
_EXIT_CONFIG: Final = 2  # that of wire.runtime.service, which may be somebody else's; systemd does not try again


def edge() -> int:
    """`vergence-edge`"""
    return _start("vergence-edge", "edge.__main__")


def emulator() -> int:
    """`vergence-emulator`"""
    return _start("vergence-emulator", "channel_emulator.__main__")


def center() -> int:
    """`vergence-center`"""
    return _start("vergence-center", "center.__main__")


def local() -> int:
    """`vergence`"""
    return _start("vergence", "deploy.local.cli")


def shadowed() -> str | None:
    """A line about the first of our names that is somebody else's on Python's path; None if there is none."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        places = list(spec.submodule_search_locations or [str(spec.origin)]) if spec else []
        if [Path(place).resolve() for place in places] != [_HOME / name]:
            found = f"another package, {spec.origin or places[0]}," if spec else "no package"
            return (
                f"the name '{name}' leads to {found} and not to {_HOME / name}; install vergence into a virtual"
                " environment of its own, leave that one's folder or take it off PYTHONPATH"
            )
    return None


def version() -> str:
    """Of the distribution that is installed; pyproject.toml is where it is written."""
    try:
        return importlib.metadata.version("vergence")
    except importlib.metadata.PackageNotFoundError:
        return "unknown: not installed"


def _start(program: str, module: str) -> int:
    if sys.argv[1:] == ["--version"]:
        print(f"{program} {version()}")
        return 0
    line = shadowed()
    if line is not None:
        print(f"{program}: error: {line}", file=sys.stderr)
        return _EXIT_CONFIG
    # Else gRPC writes a line to standard error for every TLS handshake that fails, past our bounded log: whoever knocks
    # could fill a disk, or stop a service whose log nobody reads. grpc looks when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    main: Callable[[], int] = importlib.import_module(module).main
    return main()


if __name__ == "__main__":
    # Run as a file, which puts nothing onto the path under -P: a checkout that is not installed works, too.
    sys.path.append(str(_HOME))
    sys.exit({"edge": edge, "emulator": emulator, "center": center, "local": local}[sys.argv.pop(1)]())
