"""The `vergence` command."""

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from typing import Any, Final

from wire.runtime.errors import UserError, not_installed, one_line
from wire.runtime.log import LONGEST

_DEMO: Final = "the whole system on this machine"
_CERTS: Final = "a development authority, certificates and tokens for every service"
_REPLAY: Final = "decode a center's recording again, show it, or turn it into SigMF files"
_BENCHES: Final = {
    "live": "speed, latency and memory of the whole demo",
    "faults": "faults on purpose: what is shown meanwhile, what is lost, when all is well again",
    "agree": "does the live system reach the PSNR of the codec alone?",
    "grid": "PSNR of both views over the two links' SNRs",
    "engine": "every engine side by side: speed, PSNR that is lost, memory",
    "load": "load on a center, open loop, through its own gRPC door",
    "doors": "what mutual TLS and tokens cost, frame by frame beside plain text",
    "stale": "how old pictures become when a reader takes only every second one",
    "record": "kill a recorder again and again: is all that it acknowledged there?",
}
_NEEDED: Final = ("av", "cv2", "onnxruntime", "PIL", "starlette", "uvicorn", "websockets")
"""What the services that a command starts import; on a host of cameras only, some of it is not there."""
_RECORDING: Final = ("mcap", "mcap_protobuf", "foxglove_schemas_protobuf", "lz4", "zstandard")
_NEEDED_TO_REPLAY: Final = ("onnxruntime", "PIL", "starlette", "uvicorn")


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = _parser(words).parse_args(words)
        alone = words[:1] == ["replay"] or words[:2] == ["bench", "record"]
        if words[:1] != ["certs"]:
            _check_extras(_NEEDED_TO_REPLAY if alone else _NEEDED)
        code: int = parsed.run(parsed)
    except UserError as problem:
        for line in str(problem).splitlines():
            print(f"vergence: error: {one_line(line, LONGEST)}", file=sys.stderr)
        return 1
    return code


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """Only the module of the command that is asked for is imported, for its arguments."""
    parser = argparse.ArgumentParser(prog="vergence", description="Two cameras, two noisy links, one decoder.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help=_DEMO)
    if words[:1] == ["demo"]:
        _fill(demo, "deploy.local.demo")
    certs = commands.add_parser("certs", help=_CERTS)
    if words[:1] == ["certs"]:
        _fill(certs, "deploy.local.certs")
    replay = commands.add_parser("replay", help=_REPLAY)
    if words[:1] == ["replay"]:
        _fill(replay, "deploy.local.replay")
    benches = commands.add_parser("bench", help="measure the system on this machine").add_subparsers(required=True)
    for name, line in _BENCHES.items():
        bench = benches.add_parser(name, help=line)
        if words[:2] == ["bench", name]:
            _fill(bench, f"deploy.bench.{name}")
    return parser


def _fill(parser: argparse.ArgumentParser, name: str) -> None:
    """Give a command the description, the arguments and the work of its module. raises UserError"""
    try:
        module: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _missing(error.name or name) from error
    parser.description = module.__doc__
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)


def _check_extras(needed: Iterable[str]) -> None:
    """raises UserError, where else the services that are started would each end with one in their logs"""
    for name in needed:
        if importlib.util.find_spec(name) is None:
            raise _missing(name)


def _missing(name: str) -> UserError:
    library = name.partition(".")[0]
    if library == "cryptography":
        return not_installed(library, "certs")
    extras = "edge,record" if library in _RECORDING else "edge,center"
    return not_installed(library, extras)


if __name__ == "__main__":
    sys.exit(main())
