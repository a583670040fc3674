"""Ends with whoever started it: `python -I leash.py PID PROGRAM ARGUMENT...` becomes PROGRAM on a leash to PID.

A program of its own, and not a function between fork and exec: gRPC's threads do not survive a fork, and a runner that
watches the center has such threads. One start in a hundred was aborted by them.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Ask the kernel for SIGTERM when the runner dies, even by SIGKILL; that wish outlives exec."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):  # it has died already
        sys.exit(1)
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
