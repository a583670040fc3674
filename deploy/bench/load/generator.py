"""Open-loop cameras: each sends at its own beat whatever the center does, as real cameras capture.

A camera whose credit is spent keeps only its newest frame, as an edge does; what that one replaces counts as
`held back`. So an overloaded center shows in the figures instead of slowing the load.
"""

import asyncio
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from grpc import aio

from deploy.bench.load.frames import PreparedFrames
from deploy.local.secured import Parties
from wire.contract.handshake import FRAME_RATES
from wire.runtime import grpc_kit
from wire.security.keyring import NO_KEYS, Keyring
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import SymbolLinkServiceStub
from wire.views import View

PLAIN: Final = Parties(None)
LEAD_SECONDS: Final = 0.5
"""Between the last stream's Welcome and the first capture."""


@dataclass
class Sent:
    """What the cameras did.

    began      when the first pair was due, time.monotonic
    captured   frames that were due
    held_back  of these, replaced by a newer one while their camera had no credit
    outcomes   acknowledgements by outcome and reason
    """

    began: float = math.nan
    captured: int = 0
    held_back: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


class LoadCamera:
    """One view of one rig: a stream of its own over a connection of its own."""

    def __init__(
        self,
        address: str,
        rig: str,
        view: View,
        prepared: PreparedFrames,
        rate: float,
        sent: Sent,
        keys: Keyring = NO_KEYS,
    ) -> None:
        self._rig, self._view, self._prepared, self._rate, self._sent = rig, view, prepared, rate, sent
        # A pool of its own: else all cameras would share one connection, and one stalled window.
        own = ("grpc.use_local_subchannel_pool", 1)
        self._channel = grpc_kit.connect(address, keys, own)
        self._call: Any = SymbolLinkServiceStub(self._channel).Transmit(
            metadata=keys.metadata(("x-rig-id", rig)),
            wait_for_ready=True,  # many connect at once; on a busy machine the first attempt takes too long for some
        )
        self._credit = asyncio.Semaphore(0)
        self._due: asyncio.Queue[tuple[int, int]] = asyncio.Queue(1)
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> None:
        """Say Hello and wait for the Welcome. raises AioRpcError if the center refuses"""
        hello = link_pb2.Hello(
            rig=self._rig,
            view=self._view.to_proto(),
            codec_hash=self._prepared.codec_hash,
            boot_id=1 + self._view.position,
            frame_rate=max(self._rate, FRAME_RATES[0]),
            sent_at_ns=time.time_ns(),
            height=self._prepared.size.rows,
            width=self._prepared.size.columns,
        )
        await self._call.write(link_pb2.TransmitRequest(hello=hello))
        answer = await self._call.read()
        if answer is aio.EOF:
            raise aio.AioRpcError(await self._call.code(), aio.Metadata(), aio.Metadata(), await self._call.details())
        for _ in range(answer.welcome.credit):
            self._credit.release()
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    def capture(self, sequence: int, captured_at_ns: int) -> None:
        """A picture is due. It replaces one that still waits for credit."""
        self._sent.captured += 1
        if self._due.full():
            self._due.get_nowait()
            self._sent.held_back += 1
        self._due.put_nowait((sequence, captured_at_ns))

    async def close(self) -> None:
        """Half-close, then cut."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    async def _write(self) -> None:
        while True:
            await self._credit.acquire()
            sequence, captured_at_ns = await self._due.get()
            frame = self._prepared.frame(self._view, sequence, captured_at_ns)
            await self._call.write(link_pb2.TransmitRequest(frame=frame))

    async def _read(self) -> None:
        while (answer := await self._call.read()) is not aio.EOF:
            if answer.HasField("acknowledgement"):
                self._credit.release()
                told = answer.acknowledgement
                outcome = link_pb2.Outcome.Name(told.outcome).removeprefix("OUTCOME_").lower()
                self._sent.outcomes[f"{outcome} {told.reason}".strip()] += 1


async def send_load(
    address: str, prepared: PreparedFrames, rigs: int, rate: float, seconds: float, parties: Parties = PLAIN
) -> Sent:
    """Send `rate` pairs a second from each of `rigs` rigs for `seconds`.

    parties  whose cameras are load-0-left, load-0-right and so on

    The rigs' beats are spread evenly over a frame period; both views of a rig capture at the same instant.
    """
    sent = Sent()
    pairs = [
        tuple(
            LoadCamera(address, f"load-{rig}", view, prepared, rate, sent, parties.keys(f"load-{rig}-{view}"))
            for view in View
        )
        for rig in range(rigs)
    ]
    cameras = [camera for pair in pairs for camera in pair]
    try:
        for start in range(0, len(cameras), 64):
            await asyncio.gather(*(camera.connect() for camera in cameras[start : start + 64]))
        sent.began = began = time.monotonic() + LEAD_SECONDS
        await asyncio.gather(
            *(_beat(pair, began + rig / (rigs * rate), rate, seconds) for rig, pair in enumerate(pairs))
        )
        await asyncio.sleep(LEAD_SECONDS)  # the last pairs come out
    finally:
        await asyncio.gather(*(camera.close() for camera in cameras))
    return sent


async def _beat(cameras: tuple[LoadCamera, ...], began: float, rate: float, seconds: float) -> None:
    for sequence in range(1, round(seconds * rate) + 1):
        await asyncio.sleep(began + (sequence - 1) / rate - time.monotonic())
        captured_at_ns = time.time_ns()
        for camera in cameras:
            camera.capture(sequence, captured_at_ns)
