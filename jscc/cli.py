"""How a command that can be run again ends: with a code for the shell, and one line for what the user can mend."""

import sys
from collections.abc import Callable

from wire.runtime.errors import UserError


def exit_code(work: Callable[[], object]) -> int:
    """Do the work. 0, 2 after a UserError, 130 when stopped by Ctrl-C."""
    try:
        work()
    except UserError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0
