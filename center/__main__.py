"""`vergence-center run|check-config --config FILE`; `python -m center` does the same from a checkout."""

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from wire.runtime.errors import not_installed
from wire.runtime.service import Service

if TYPE_CHECKING:
    from center.config import CenterConfig


async def run(config: "CenterConfig", stop: asyncio.Event) -> None:
    """`center.service.run`. raises UserError if the extra is not installed, so that check-config works without it"""
    try:
        from center import service
    except ModuleNotFoundError as error:
        raise not_installed(error.name, "center") from error
    await service.run(config, stop)


def main(arguments: list[str] | None = None) -> int:
    # Else numpy's threads fight the decoder's for the cores whenever a picture is measured. It looks here only while
    # it is loaded, which the configuration does. A value that is set already stays.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from center.config import CenterConfig

    return Service("center", CenterConfig, run).main(arguments)


if __name__ == "__main__":
    sys.exit(main())
