from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from grpc import aio

from channel_emulator.config import EmulatorConfig
from channel_emulator.emulator import Emulator
from deploy.bench.loopback import Center, Edge
from wire.v1 import symbol_link_service_pb2 as link_pb2


@pytest.fixture
async def center() -> AsyncIterator[Center]:
    """A center that takes everything; `center.address` is set."""
    pretended = Center()
    pretended.address = await pretended.start()  # type: ignore[attr-defined]
    yield pretended
    await pretended.stop()


@pytest.fixture
async def start(center: Any) -> AsyncIterator[Callable[..., Awaitable[tuple[Emulator, str]]]]:
    """Start emulators in front of the center: `emulator, address = await start(links=[...])`."""
    async with AsyncExitStack() as running:

        async def begin(**keys: Any) -> tuple[Emulator, str]:
            given = {"listen": "127.0.0.1:0", "upstream": center.address, "drain_seconds": 0.5} | keys
            emulator = Emulator(EmulatorConfig.model_validate(given))
            address = f"127.0.0.1:{await emulator.start()}"
            running.push_async_callback(emulator.stop)
            return emulator, address

        yield begin


def sample(emulator: Emulator, name: str, **labels: str) -> float:
    named = {"rig": "demo", "view": "left"} | labels
    return emulator.metrics.registry.get_sample_value(f"vergence_emulator_{name}", named) or 0.0


async def refusal(edge: Edge, *messages: link_pb2.TransmitRequest) -> aio.AioRpcError:
    """How a stream ends that is refused. gRPC may notice it at a write or at a read."""
    try:
        if not messages:
            await edge.hello()
        for message in messages:
            await edge.send(message)
    except aio.AioRpcError as error:
        return error
    return await ending(edge)


async def ending(edge: Edge) -> aio.AioRpcError:
    """How a stream ends while one only reads: gRPC may lose a status that comes while one writes."""
    try:
        while True:
            await edge.hear()
    except aio.AioRpcError as error:
        return error
