"""The center beside general model servers: `python -m benchmarks.peers [--peers NAME ...] [--rounds N] [--tune]`.

The same shipped decoder in onnxruntime with the same options, the same cores for servers and load, the same real
pictures, encoded before. Peers get pairs that are paired already and answer whoever sent them; the center gets the two
views as streams of their own, pairs them, and hands the pictures out over WatchPairs.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.peers import bench, report
from benchmarks.peers.bare import Bare
from benchmarks.peers.bench import System
from benchmarks.peers.environment import NotInstalled, interpreter
from benchmarks.peers.roster import PEERS, Peer
from benchmarks.peers.work import pack
from deploy.bench.arguments import chart_file, count, natural, output_file, positive
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.result_file import measured_here, store
from wire import codec
from wire.contract.arrays import unpack_complex
from wire.views import View

SNR_DB: Final = 10.0
_NAMES: Final = tuple(peer.name for peer in PEERS)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """words: of the command line; None takes this process's"""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--peers", nargs="*", choices=_NAMES, default=list(_NAMES), help="default: all")
    parser.add_argument("--rounds", type=count, default=5, help="turns of each (default %(default)s)")
    parser.add_argument("--seconds", type=positive, default=12.0, help="of each load (default %(default)s)")
    parser.add_argument("--threads", type=natural, default=2, help="of every decoder (default %(default)s)")
    parser.add_argument("--codec", default=codec.DEFAULT, help="shipped name or folder (default %(default)s)")
    parser.add_argument("--tune", action="store_true", help="try every setting of the peers instead, without ours")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store every figure")
    parser.add_argument("--chart", type=chart_file, metavar="FILE", help="draw them (needs matplotlib)")
    return parser.parse_args(words)


def installed(names: list[str]) -> dict[Peer, Path]:
    """Each peer that can be had, with the Python of its environment; of the others a line says why not."""
    found = {}
    for peer in PEERS:
        if peer.name in names:
            try:
                found[peer] = interpreter(peer)
            except NotInstalled as problem:
                print(f"{peer.title}: skipped: {problem}")
    return found


def packed(prepared: PreparedFrames) -> list[bytes]:
    """The pairs of a clip for peers: the very symbols that our cameras send."""
    pairs = zip(*(prepared.arrays[view] for view in View), strict=True)
    both = (prepared.snr_db, prepared.snr_db)
    return [pack(np.stack([unpack_complex(each) for each in pair]), both) for pair in pairs]


async def cpu_milliseconds(bare: Bare, requests: list[bytes], calls: int = 20) -> float:
    """CPU time of a pair in the bare decoder over all its threads."""
    await bare(requests[0])
    before = await bare.cpu_seconds()
    for number in range(calls):
        await bare(requests[number % len(requests)])
    return (await bare.cpu_seconds() - before) / calls * 1e3


async def run(arguments: argparse.Namespace, bare: Bare, logs: Path) -> dict[str, Any]:
    """Measure, print the tables. returns what is stored"""
    prepared = PreparedFrames.make(arguments.codec, SNR_DB, "f16")
    folder = str(codec.folder(arguments.codec).resolve())  # the servers of peers run elsewhere
    requests, threads = packed(prepared), arguments.threads
    bare_cpu_ms = await cpu_milliseconds(bare, requests)
    systems: list[System] = [] if arguments.tune else [bench.our_system(prepared, arguments.codec, threads, logs)]
    owners: dict[str, str] = {}
    for peer, python in installed(arguments.peers).items():
        for setting in peer.settings if arguments.tune else peer.settings[:1]:
            made = bench.peer_system(peer, python, setting, folder, threads, requests, logs)
            name = f"{peer.name}: {setting}" if arguments.tune else peer.name
            systems.append(System(name, made.title, made.start))
            owners[name] = peer.name
    results, left_out = await bench.take_turns(systems, bare, requests, arguments.rounds, arguments.seconds)
    titles = {system.name: system.title for system in systems}
    print("\n" + report.table(results, titles, left_out, bare_cpu_ms))
    if warning := report.too_busy(results, bare_cpu_ms, threads):
        print(f"\n{warning}")
    if arguments.tune:
        for name in dict.fromkeys(owners.values()):
            tried = {each: results[each] for each, owner in owners.items() if owner == name and results[each]}
            if tried:
                print(f"best of {name}: {report.best_setting(tried)}")
    if arguments.chart is not None:
        report.draw(results, titles, bare_cpu_ms, arguments.chart)
    settings = {"rounds": arguments.rounds, "seconds": arguments.seconds, "threads": threads, "codec": arguments.codec}
    return measured_here(
        {"settings": settings, "titles": titles, "left_out": left_out, "bare_cpu_ms": bare_cpu_ms, "results": results}
    )


def main(words: list[str] | None = None) -> int:
    """0, or 1 if nothing could be measured"""
    arguments = parse(words)
    with (
        tempfile.TemporaryDirectory(prefix="vergence-peers-") as logs,
        Bare(arguments.codec, arguments.threads) as bare,
    ):
        result = asyncio.run(run(arguments, bare, Path(logs)))
    if arguments.json is not None:
        store(arguments.json, result)
    return 0 if any(result["results"].values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
