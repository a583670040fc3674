"""`python -m center run|check-config --config FILE`, or `vergence-center`."""

import sys

from center.config import CenterConfig
from center.service import run
from wire.service import Service


def main(arguments: list[str] | None = None) -> int:
    return Service("center", CenterConfig, run).main(arguments)


if __name__ == "__main__":
    sys.exit(main())
