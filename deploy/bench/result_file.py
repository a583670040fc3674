"""How a benchmark's figures are kept: JSON that says when and on which machine they were measured."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wire.runtime.files import write_atomically


def measured_here(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures with the time and the machine before them."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, python {platform.python_version()}"
    return {"when": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **figures}


def store(path: Path, result: dict[str, Any]) -> None:
    """Write a result, in one move. raises OSError"""
    write_atomically(path, json.dumps(result, indent=2) + "\n")
