"""A center with a decoder of a few lines, real gRPC on a free port, and cameras that speak the contract."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from grpc import aio
from numpy.typing import NDArray
from prometheus_client import generate_latest

from center.config import CenterConfig
from center.decode.engines import Batch
from center.service import Center
from wire.contract.arrays import pack_complex
from wire.geometry import SYMBOLS
from wire.runtime.grpc_kit import connect
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import symbol_link_service_pb2_grpc as link_grpc
from wire.v1 import types_pb2
from wire.views import View

CODEC_HASH = "0123456789abcdef"
SYMBOL_ROW = np.ones(SYMBOLS, np.complex64)


class FakeEngine:
    """A picture's grey is its link's SNR in dB over 40, 1 where it is noiseless.

    seconds  how long it takes
    may      cleared, it hangs until this is set
    """

    name = "fake"
    codec_hash = CODEC_HASH

    def __init__(self) -> None:
        self.seconds = 0.0
        self.may = threading.Event()
        self.may.set()
        self.fails = False
        self.batches: list[Batch] = []

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        if self.fails:
            raise RuntimeError("on purpose")
        assert self.may.wait(60)
        time.sleep(self.seconds)
        self.batches.append(batch)
        grey = np.clip(batch.snr_db / 40, 0, 1)[:, :, None, None, None]
        return np.broadcast_to(grey, (len(batch), 2, 3, batch.size.rows, batch.size.columns)).astype(np.float32)


class Camera:
    """A camera at the other end of a stream."""

    def __init__(self, channel: aio.Channel, side: View, /, rig: str = "lab", boot_id: int = 1, **hello: Any) -> None:
        said: dict[str, Any] = {"rig": rig, "view": side.to_proto(), "codec_hash": CODEC_HASH, "boot_id": boot_id}
        self.hello = link_pb2.Hello(**{**said, "frame_rate": 30.0, **hello})
        self.call: Any = link_grpc.SymbolLinkServiceStub(channel).Transmit()

    async def connect(self) -> link_pb2.Welcome:
        await self.call.write(link_pb2.TransmitRequest(hello=self.hello))
        response = await self.read()
        assert response.WhichOneof("message") == "welcome"
        return response.welcome

    async def send(self, sequence: int, captured_at: float | None = None, **fields: Any) -> None:
        """captured_at: Unix seconds, now by default."""
        at = time.time() if captured_at is None else captured_at
        defaults = {"sequence": sequence, "captured_at_ns": round(at * 1e9), "symbols": pack_complex(SYMBOL_ROW)}
        await self.call.write(link_pb2.TransmitRequest(frame=link_pb2.SymbolFrame(**{**defaults, **fields})))

    async def read(self) -> link_pb2.TransmitResponse:
        """raises grpc.aio.AioRpcError or EOFError if the stream was ended"""
        response = await asyncio.wait_for(self.call.read(), 20)
        if response is aio.EOF:
            raise EOFError
        return response

    async def answer(self) -> link_pb2.Acknowledgement:
        response = await self.read()
        assert response.WhichOneof("message") == "acknowledgement"
        return response.acknowledgement

    async def status(self) -> tuple[str, str]:
        """How the stream ended: status code and details."""
        with suppress(aio.AioRpcError, EOFError):
            while True:
                await self.read()
        return (await self.call.code()).name, await self.call.details()

    async def leave(self) -> None:
        await self.call.done_writing()
        with suppress(EOFError, aio.AioRpcError):
            while True:
                await self.read()


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine()
    yield made
    made.may.set()


StartCenter = Callable[..., Awaitable[Center]]


@pytest.fixture
async def start_center(engine: FakeEngine) -> AsyncIterator[StartCenter]:
    """Starts a center with a fake decoder on free ports; keywords are sections of its configuration."""
    centers: list[Center] = []

    async def start(**sections: Any) -> Center:
        values = {"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0}, "drain_s": 0.5}
        values |= {"batching": {"max_size": 4}, **sections}
        center = Center(CenterConfig.model_validate(values), engine)
        centers.append(center)
        await center.start()
        engine.batches.clear()
        return center

    yield start
    for center in centers:
        await center.stop()


@pytest.fixture
async def center(start_center: StartCenter) -> Center:
    return await start_center()


@pytest.fixture
async def channel(center: Center) -> AsyncIterator[aio.Channel]:
    async with connect(f"127.0.0.1:{center.port}") as made:
        yield made


@pytest.fixture
def camera(channel: aio.Channel) -> Callable[..., Camera]:
    """Makes cameras of the running center: `camera(side, rig=..., boot_id=..., and what else a Hello has)`."""
    return lambda side, /, **hello: Camera(channel, side, **hello)


def wait_for_partners(center: Center) -> None:
    """Let a view wait for the other one however long that takes: a busy machine holds up one of two messages for longer
    than the 80 ms that are usual."""
    center.rigs.change_pairing(None, 20.0)


def newest(center: Center, rig: str = "lab") -> list[int]:
    """Sequences of the frames of a rig's newest instant that waits for the decoder."""
    job = center._pipeline._batcher.newest(rig)
    return [] if job is None else [frame.sequence for frame in job.frames]


def awgn(snr_db: float) -> types_pb2.ChannelState:
    return types_pb2.ChannelState(snr_db=snr_db, noise_variance=10 ** (-snr_db / 10))


def frames(center: Any, outcome: str) -> float:
    labels = {"rig": "lab", "view": "left", "outcome": outcome}
    return center.metrics.registry.get_sample_value("vergence_center_frames_total", labels) or 0.0


def exposition(center: Any) -> bytes:
    return generate_latest(center.metrics.registry)
