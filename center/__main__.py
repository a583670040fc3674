"""`python -m center run|check-config --config FILE`, or `vergence-center`."""

import asyncio
import sys

from center.config import CenterConfig
from wire.problem import Problem
from wire.service import Service


async def run(config: CenterConfig, stop: asyncio.Event) -> None:
    """`center.service.run`. raises Problem if the extra is not installed, so that check-config works without it"""
    try:
        from center import service
    except ModuleNotFoundError as error:
        raise Problem(f"{error.name} is not installed; install the extra: pip install 'vergence[center]'") from error
    await service.run(config, stop)


def main(arguments: list[str] | None = None) -> int:
    return Service("center", CenterConfig, run).main(arguments)


if __name__ == "__main__":
    sys.exit(main())
