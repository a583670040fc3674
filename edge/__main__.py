"""`vergence-edge run|check-config|export --config FILE`; `python -m edge` does the same from a checkout."""

import argparse
import asyncio
import sys
from pathlib import Path

from edge.config import EdgeConfig
from edge.encode.export import export
from wire.runtime.errors import not_installed
from wire.runtime.service import Service


async def run(config: EdgeConfig, stop: asyncio.Event) -> None:
    """`edge.daemon.run`. raises UserError if the extra is not installed, so that other commands work without it"""
    try:
        from edge import daemon
    except ModuleNotFoundError as error:
        raise not_installed(error.name, "edge") from error
    await daemon.run(config, stop)


class EdgeService(Service[EdgeConfig]):
    """The shared command line and one command more."""

    def __init__(self) -> None:
        super().__init__("edge", EdgeConfig, run)
        parser = self.add("export", "write the ONNX files of a codec (needs the extra 'train')")
        parser.add_argument("--weights", type=Path, metavar="FILE", help="default: those of the configured codec")
        parser.add_argument("--out", type=Path, metavar="DIR", help="default: the folder of the weights")

    def execute(self, command: str, loaded: EdgeConfig, parsed: argparse.Namespace) -> int:
        if command != "export":
            return super().execute(command, loaded, parsed)
        print(f"wrote {export(loaded.codec.name, parsed.weights, parsed.out)}")
        return 0


def main() -> int:
    return EdgeService().main()


if __name__ == "__main__":
    sys.exit(main())
