"""A codec small enough to build for every run, and a link server that does what a test tells it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge.camera.capture import CapturedFrame
from edge.camera.newest import NewestSlot
from edge.config import EdgeConfig
from edge.encode.frames import FrameEncoder
from edge.encode.references import References
from edge.metrics import Metrics
from edge.uplink.uplink import Uplink
from wire import codec
from wire.geometry import CHANNELS, DOWNSCALING, HEIGHT, LATENT_CHANNELS, SYMBOLS, WIDTH
from wire.runtime import grpc_kit
from wire.security.keyring import NO_KEYS, Keyring
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.symbol_link_service_pb2_grpc import (
    SymbolLinkServiceServicer,
    add_SymbolLinkServiceServicer_to_server,
)

HASH = "0123456789abcdef"


def tiny_encoder(path: Path, gain: float = 1.0, rows: int | str = "rows", columns: int | str = "columns") -> None:
    """An encoder that sends the first pixels as they are, less grey, at mean power gain^2.

    rows, columns  of the pictures that its graph takes; names for any
    """
    constants = {
        "grey": np.array(0.25, np.float32),
        "blocks": np.array([0, CHANNELS * DOWNSCALING**2, -1], np.int64),
        "starts": np.array([0], np.int64),
        "ends": np.array([LATENT_CHANNELS], np.int64),
        "axes": np.array([1], np.int64),
        "shape": np.array([0, -1, 2], np.int64),
        "iq": np.array([2], np.int64),
        "all": np.array([1, 2], np.int64),
        "gain": np.array(gain, np.float32),
    }
    nodes = [
        helper.make_node("Reshape", ["picture", "blocks"], ["flat"]),
        helper.make_node("Slice", ["flat", "starts", "ends", "axes"], ["some"]),
        helper.make_node("Sub", ["some", "grey"], ["centred"]),
        helper.make_node("Reshape", ["centred", "shape"], ["raw"]),
        helper.make_node("ReduceSumSquare", ["raw", "iq"], ["powers"]),
        helper.make_node("ReduceMean", ["powers", "all"], ["power"]),
        helper.make_node("Sqrt", ["power"], ["root"]),
        helper.make_node("Div", ["raw", "root"], ["unit"]),
        helper.make_node("Mul", ["unit", "gain"], ["symbols"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["B", CHANNELS, rows, columns]),
            helper.make_tensor_value_info("snr_db", TensorProto.FLOAT, ["B"]),
        ],
        [helper.make_tensor_value_info("symbols", TensorProto.FLOAT, ["B", "k", 2])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {codec.HASH_KEY: HASH, codec.ROLE_KEY: "encoder"})
    onnx.save(model, path)


@pytest.fixture(scope="session")
def tiny_codec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A codec's folder with a tiny encoder."""
    folder = tmp_path_factory.mktemp("codec")
    tiny_encoder(folder / "encoder.onnx")
    return str(folder)


@pytest.fixture(autouse=True)
def _logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, logger="edge"):
        yield


def settings(**sections: Any) -> EdgeConfig:
    """A configuration that touches nothing but what a test names."""
    given = {"metrics": {"port": 0}, "reference": {"every": 0}} | sections
    return EdgeConfig.model_validate(given)


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    """A sample of `vergence_edge_<name>`; 0 if there is none yet."""
    everything = {"rig": "demo", "view": "left", **labels}
    return metrics.registry.get_sample_value(f"vergence_edge_{name}", everything) or 0.0


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for sets no event
            await asyncio.sleep(0.002)


class FakeEncoder:
    """Answers at once and remembers the SNRs that it was told."""

    codec_hash = HASH

    def __init__(self) -> None:
        self.snrs: list[float] = []

    def encode(self, picture: Any, snr_db: float) -> Any:
        self.snrs.append(snr_db)
        return np.full(SYMBOLS, picture[0, 0, 0] / 255 + 1j, np.complex64)


Context = grpc.aio.ServicerContext[link_pb2.TransmitRequest, link_pb2.TransmitResponse]


@dataclass
class FakeLink(SymbolLinkServiceServicer):
    """The other side. Behaviour may be changed at any time; what came is kept."""

    credit: int = 4
    answer: Callable[[link_pb2.SymbolFrame], link_pb2.Acknowledgement | None] = lambda frame: link_pb2.Acknowledgement(
        sequence=frame.sequence, outcome=link_pb2.OUTCOME_ACCEPTED
    )
    refusal: tuple[grpc.StatusCode, str] | None = None
    hang: bool = False
    hellos: list[link_pb2.Hello] = field(default_factory=list)
    frames: list[link_pb2.SymbolFrame] = field(default_factory=list)
    metadata: list[tuple[str, str | bytes]] = field(default_factory=list)
    ended: int = 0
    context: Context | None = None
    port: int = 0
    keys: Keyring = NO_KEYS
    _server: grpc_kit.Server | None = None
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Serve, on the same port as before."""
        self._server = grpc_kit.Server(f"127.0.0.1:{self.port}", self.keys)
        add_SymbolLinkServiceServicer_to_server(self, self._server.grpc)
        self.port = await self._server.start([])

    async def stop(self) -> None:
        """Cut every stream."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def say(self, **message: Any) -> None:
        """Send to the edge that is connected."""
        assert self.context is not None
        async with self._writing:
            await self.context.write(link_pb2.TransmitResponse(**message))

    async def Transmit(self, request_iterator: Any, context: Context) -> None:  # type: ignore[override]  # noqa: N802
        self.metadata = list(context.invocation_metadata() or ())  # before it can have gone: gRPC frees it then
        first = await context.read()
        assert isinstance(first, link_pb2.TransmitRequest)
        self.hellos.append(first.hello)
        if self.refusal:
            await context.abort(*self.refusal)
        if self.hang:
            await asyncio.Event().wait()
        await context.write(
            link_pb2.TransmitResponse(
                welcome=link_pb2.Welcome(credit=self.credit, received_at_ns=first.hello.sent_at_ns + 10**9)
            )
        )
        self.context = context
        while isinstance(request := await context.read(), link_pb2.TransmitRequest):
            self.frames.append(request.frame)
            if (answer := self.answer(request.frame)) is not None:
                async with self._writing:
                    await context.write(link_pb2.TransmitResponse(acknowledgement=answer))
        self.ended += 1


@pytest.fixture
async def link() -> AsyncIterator[FakeLink]:
    """A link server that runs."""
    fake = FakeLink()
    await fake.start()
    yield fake
    await fake.stop()


NOW_NS = 10**18


@dataclass
class Rig:
    """An uplink that runs, and a hand on its shutter. Its clock stands still at NOW_NS."""

    uplink: Uplink
    metrics: Metrics
    encoder: FakeEncoder
    slot: NewestSlot[CapturedFrame]

    def shoot(self, brightness: int = 128, age_ms: int = 0) -> None:
        """One more picture. age_ms: how long ago it was taken."""
        picture = np.full((HEIGHT, WIDTH, CHANNELS), brightness, np.uint8)
        if self.slot.put(CapturedFrame(picture, NOW_NS - age_ms * 10**6, capture_us=7)) is not None:
            self.metrics.dropped(self.uplink.held_up_by)
        self.uplink.wake()

    def count(self, name: str, **labels: str) -> float:
        return counted(self.metrics, name, **labels)


@contextlib.asynccontextmanager
async def edge_without_camera(link: FakeLink, patience: float, keys: Keyring = NO_KEYS) -> AsyncIterator[Rig]:
    """An uplink to `link` that gives up on silence after `patience` seconds, with `keys`."""
    address = f"127.0.0.1:{link.port}"
    config = settings(link={"address": address, "credit": 2, "backoff_first_s": 0.01, "backoff_cap_s": 0.05})
    metrics, encoder, slot = Metrics("demo", "left"), FakeEncoder(), NewestSlot[CapturedFrame]()
    references = References(config, 42, metrics)
    maker = FrameEncoder(config, encoder, references, metrics, clock_ns=lambda: NOW_NS)
    uplink = Uplink(config, 42, slot, maker, metrics, keys, patience=patience)
    running = asyncio.create_task(uplink.run())
    yield Rig(uplink, metrics, encoder, slot)
    uplink.leave()
    async with asyncio.timeout(3):
        await running
    await references.close()
    maker.close()


@pytest.fixture
async def rig(link: FakeLink) -> AsyncIterator[Rig]:
    """Patient enough for a busy machine."""
    async with edge_without_camera(link, patience=3.0) as made:
        yield made


@pytest.fixture
async def hasty_rig(link: FakeLink) -> AsyncIterator[Rig]:
    """For tests of silence."""
    async with edge_without_camera(link, patience=0.3) as made:
        yield made
