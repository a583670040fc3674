"""Streams that are refused by the thousand at both doors while a rig goes on: rightly, and at what cost?"""

import asyncio
import dataclasses
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import grpc
from grpc import aio

from deploy.bench.faults.marked import environment, missed
from deploy.bench.faults.usage import MOST_GROWTH, growth, holdings, report_growth
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, running
from wire import codec
from wire.runtime import grpc_kit
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2
from wire.v1.symbol_link_service_pb2_grpc import SymbolLinkServiceStub

FPS: Final = 2.0
AT_ONCE: Final = 8
WARM_UP: Final = 500


def hellos(stranger: str, of: str) -> dict[str, tuple[link_pb2.TransmitRequest | None, grpc.StatusCode]]:
    """First messages that are refused, and with which status; None says nothing and ends.

    stranger  a rig that nobody else is; of: the hash of the center's codec
    """
    left = types_pb2.VIEW_LEFT

    def hello(rig: str, codec_hash: str = of, view: "types_pb2.View.ValueType" = left) -> link_pb2.TransmitRequest:
        said = link_pb2.Hello(rig=rig, view=view, codec_hash=codec_hash, boot_id=7, frame_rate=FPS)
        return link_pb2.TransmitRequest(hello=said)

    return {
        "another codec": (hello(stranger, "0" * 16), grpc.StatusCode.FAILED_PRECONDITION),
        "a view that is taken": (hello("demo"), grpc.StatusCode.FAILED_PRECONDITION),
        "no name": (hello("a\nb"), grpc.StatusCode.INVALID_ARGUMENT),
        "no view": (hello(stranger, view=types_pb2.VIEW_UNSPECIFIED), grpc.StatusCode.INVALID_ARGUMENT),
        "a frame first": (link_pb2.TransmitRequest(frame=link_pb2.SymbolFrame()), grpc.StatusCode.INVALID_ARGUMENT),
        "no word": (None, grpc.StatusCode.INVALID_ARGUMENT),
    }


def drill(refused: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Have `refused` streams refused at each of the two doors, a new connection for every hundred."""
    ports = Ports.free()
    with running(ports, say, environment(FPS)) as stack:
        watcher = PairWatcher(f"{ports.host}:{ports.center}")
        try:
            doors = {"emulator": f"{ports.host}:{ports.emulator}", "center": f"{ports.host}:{ports.center}"}
            for address in doors.values():
                asyncio.run(_knock(address, WARM_UP, random.Random(seed), say))
            before, began, began_ns = holdings(stack), time.monotonic(), time.time_ns()
            answers = {name: asyncio.run(_knock(at, refused, random.Random(seed), say)) for name, at in doors.items()}
            seconds, until_ns = time.monotonic() - began, time.time_ns()
            back = watcher.wait_for_pair(until_ns, 10.0)
            lost = missed(watcher.since(0.0), "demo", FPS, began_ns, until_ns)
            grown = growth(before, holdings(stack))
        finally:
            watcher.close()
    wrong = {f"{kind}: {code}": n for of in answers.values() for (kind, code, right), n in of.items() if not right}
    return {
        "refused": refused,
        "seconds": seconds,
        "answers": {door: {f"{kind}: {code}": n for (kind, code, _), n in of.items()} for door, of in answers.items()},
        "wrong": wrong,
        "instants": round(seconds * FPS),
        "lost": lost,
        "pair_after": back,
        "growth": {name: dataclasses.asdict(each) for name, each in grown.items()},
        "failed": len(wrong) + (back is None) + sum(each.rss > MOST_GROWTH for each in grown.values()),
    }


async def _knock(
    address: str, streams: int, chance: random.Random, say: Callable[[str], None]
) -> Counter[tuple[str, str, bool]]:
    """Open streams that must be refused. returns how often each kind met each status, and whether that is right"""
    of, met = codec.load_onnx(codec.DEFAULT, "decoder", 1).codec_hash, Counter[tuple[str, str, bool]]()
    names: Sequence[str] = list(hellos("", of))
    for start in range(0, streams, 100):
        async with grpc_kit.connect(address) as channel:
            stub, gate = SymbolLinkServiceStub(channel), asyncio.Semaphore(AT_ONCE)

            async def one(number: int, stub: Any = stub, gate: asyncio.Semaphore = gate) -> None:
                async with gate:
                    kind = chance.choice(names)
                    message, wanted = hellos(f"stranger-{number}", of)[kind]
                    code = await _open(stub, message)
                    met[kind, code.name, code is wanted] += 1

            await asyncio.gather(*(one(start + number) for number in range(min(100, streams - start))))
        if start % 2000 == 0:
            say(f"{start} of {streams} streams at {address}")
    return met


async def _open(stub: Any, message: link_pb2.TransmitRequest | None) -> grpc.StatusCode:
    """How the stream ends."""
    call = stub.Transmit(timeout=20)
    try:
        if message is not None:
            await call.write(message)
        else:
            await call.done_writing()
        while await call.read() is not aio.EOF:
            pass
    except (aio.AioRpcError, asyncio.InvalidStateError):
        pass
    code: grpc.StatusCode = await call.code()
    return code


def report(result: dict[str, Any]) -> None:
    """Print the tables."""
    print("\n| door | stream | ended with | times |")
    print("|---|---|---|---|")
    for door, answers in result["answers"].items():
        for told, times in sorted(answers.items()):
            kind, _, code = told.rpartition(": ")
            print(f"| {door} | {kind} | {code} | {times} |")
    print(
        f"\n{result['refused']} refused at each door in {result['seconds']:.0f} s; {result['lost']} of about"
        f" {result['instants']} instants of the rig that was there were lost; what the processes hold more:"
    )
    report_growth(result["growth"])
