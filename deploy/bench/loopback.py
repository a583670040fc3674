"""A pretend center and a pretend edge on loopback, for the benchmark and the tests. No service uses them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from grpc import aio

from wire.contract.arrays import pack_complex
from wire.geometry import DEFAULT_SIZE, LARGEST_SIZE, PictureSize
from wire.runtime import grpc_kit
from wire.security.keyring import NO_KEYS, Keyring
from wire.units import normalise_power
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import (
    SymbolLinkServiceServicer,
    SymbolLinkServiceStub,
    add_SymbolLinkServiceServicer_to_server,
)
from wire.views import View

CREDIT = 4


class Center(SymbolLinkServiceServicer):
    """Welcomes everybody and accepts every frame.

    codec_hash  refuse a Hello with another one; "" takes all
    hellos      every Hello that came, with its metadata
    frames      every frame that came, in order
    refusal     end every stream at its Hello with this status and line
    hang        say nothing to a Hello
    boot_id     what a Welcome says of this start; 0 says nothing
    streams     how many are open
    """

    def __init__(self, codec_hash: str = "", keep: bool = True, keys: Keyring = NO_KEYS) -> None:
        """keep: False forgets frames, for benchmarks."""
        self.codec_hash, self._keep = codec_hash, keep
        self.hellos: list[tuple[link_pb2.Hello, dict[str, str]]] = []
        self.frames: list[link_pb2.SymbolFrame] = []
        self.streams = 0
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.hang = False
        self.drain: link_pb2.Drain | None = None
        self.boot_id = 0
        self._server = grpc_kit.Server("127.0.0.1:0", keys, largest=LARGEST_SIZE)

    async def start(self) -> str:
        """Returns the address."""
        add_SymbolLinkServiceServicer_to_server(self, self._server.grpc)
        port = await self._server.start([])
        await self._server.ready()
        return f"127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.stop(0)

    async def Transmit(  # noqa: N802
        self, request_iterator: AsyncIterator[link_pb2.TransmitRequest], context: Any
    ) -> AsyncIterator[link_pb2.TransmitResponse]:
        self.streams += 1
        metadata = {key: str(value) for key, value in context.invocation_metadata()}  # gRPC frees it with the call
        try:
            async for request in request_iterator:
                if request.HasField("hello"):
                    self.hellos.append((request.hello, metadata))
                    if self.codec_hash not in ("", request.hello.codec_hash):
                        line = f"codec {request.hello.codec_hash} does not fit; the center has {self.codec_hash}"
                        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, line)
                    if self.refusal is not None:
                        await context.abort(*self.refusal)
                    if self.hang:
                        await asyncio.Event().wait()
                    welcome = link_pb2.Welcome(credit=CREDIT, received_at_ns=time.time_ns(), boot_id=self.boot_id)
                    yield link_pb2.TransmitResponse(welcome=welcome)
                    continue
                if self._keep:
                    self.frames.append(request.frame)
                if self.drain is not None:
                    yield link_pb2.TransmitResponse(drain=self.drain)
                sequence = request.frame.sequence
                accepted = link_pb2.Acknowledgement(sequence=sequence, outcome=link_pb2.OUTCOME_ACCEPTED)
                yield link_pb2.TransmitResponse(acknowledgement=accepted)
        finally:
            self.streams -= 1


class Edge:
    """One stream of a camera. Use it as a context manager; leaving breaks the stream off.

    heard  how often each kind of response came
    """

    def __init__(
        self,
        address: str,
        view: View = View.LEFT,
        rig: str = "demo",
        boot_id: int = 1,
        keys: Keyring = NO_KEYS,
        codec_hash: str = "cafe",
        size: PictureSize = DEFAULT_SIZE,
    ) -> None:
        self.heard: Counter[str] = Counter()
        self._channel = grpc_kit.connect(address, keys)
        metadata = keys.metadata(("x-rig-id", rig))
        self._call: Any = SymbolLinkServiceStub(self._channel).Transmit(metadata=metadata)
        self._hello = link_pb2.Hello(
            rig=rig,
            view=view.to_proto(),
            codec_hash=codec_hash,
            boot_id=boot_id,
            frame_rate=30.0,
            sent_at_ns=time.time_ns(),
            height=size.rows,
            width=size.columns,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    def says(self, *, codec_hash: str) -> None:
        """For a center that is none of ours: the hash of its codec."""
        self._hello.codec_hash = codec_hash

    async def hello(self) -> link_pb2.Welcome:
        """Say Hello and take the Welcome. raises AioRpcError if the stream is refused"""
        await self.send(link_pb2.TransmitRequest(hello=self._hello))
        return (await self.hear("welcome")).welcome

    async def send(self, request: link_pb2.TransmitRequest) -> None:
        await self._call.write(request)

    async def frame(self, frame: link_pb2.SymbolFrame) -> link_pb2.Acknowledgement:
        """Send a frame and wait for what became of it."""
        await self.send(link_pb2.TransmitRequest(frame=frame))
        while True:
            answer = (await self.hear("acknowledgement")).acknowledgement
            if answer.sequence == frame.sequence:
                return answer

    async def hear(self, kind: str = "") -> link_pb2.TransmitResponse:
        """The next response, or the next of one kind. raises AioRpcError, or EOFError at an end without error"""
        while True:
            response = await self._call.read()
            if response is aio.EOF:
                raise EOFError
            self.heard[response.WhichOneof("message")] += 1
            if kind in ("", response.WhichOneof("message")):
                answer: link_pb2.TransmitResponse = response
                return answer

    async def leave(self) -> None:
        """Half-close, as an edge does that has finished."""
        await self._call.done_writing()


def picture(sequence: int, sample_type: str = "f32", size: PictureSize = DEFAULT_SIZE) -> link_pb2.SymbolFrame:
    """A frame of unit-power Gaussian symbols that depend on sequence and size alone."""
    real = np.random.default_rng(sequence).standard_normal(2 * size.symbols, dtype=np.float32)
    symbols = pack_complex(normalise_power(real.view(np.complex64)), sample_type)
    return link_pb2.SymbolFrame(sequence=sequence, captured_at_ns=time.time_ns(), age_budget_ms=500, symbols=symbols)
