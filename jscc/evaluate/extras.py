"""Optional libraries, imported where they are needed; one that is missing is a line that says what to install."""

import importlib
from types import ModuleType

from wire.runtime.errors import UserError


def require(module: str, purpose: str, extra: str = "evaluate") -> ModuleType:
    """Import an optional library.

    module   its import name, such as "av"
    purpose  what cannot be done without it, such as "bpg-ldpc"
    extra    of ours that installs it
    raises   UserError if it, or something that it needs, is not installed
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise UserError(
            f"{purpose} needs {missing}, which is not installed; in a checkout of vergence: pip install '.[{extra}]'"
        ) from None
