"""A network that is far and not narrow: what is sent at the same time arrives at the same time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from deploy.bench.faults.proxy import Proxy, Weather
from wire.runtime import grpc_kit
from wire.security.keyring import NO_KEYS

DELAY = 0.1
FRAME = 41_000
INSTANTS = 12


async def test_both_views_of_a_pair_cross_a_long_way_in_one_round_trip() -> None:
    """Over one connection, as between emulator and center. A window of 64 kB would hold one of them back by 200 ms."""
    arrived: dict[bytes, list[float]] = {}

    async def take(frames: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for frame in frames:
            arrived.setdefault(frame[:1], []).append(time.monotonic())
            yield b""

    server = grpc_kit.Server("127.0.0.1:0")
    method: Any = grpc.stream_stream_rpc_method_handler(take)
    server.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("far.Away", {"Take": method}),))
    port = await server.start([])
    with Proxy(port) as proxy:
        async with grpc_kit.connect(proxy.address, NO_KEYS, grpc_kit.OWN) as channel:
            await asyncio.wait_for(channel.channel_ready(), 20)
            proxy.weather = Weather(delay=DELAY)
            calls: list[Any] = [channel.stream_stream("/far.Away/Take")() for _ in range(2)]
            for number in range(INSTANTS):
                frame = bytes([number]) + os.urandom(FRAME)
                await asyncio.gather(*(call.write(frame) for call in calls))
                await asyncio.gather(*(call.read() for call in calls))
    await server.stop(0)
    apart = sorted(max(times) - min(times) for times in arrived.values())
    assert len(apart) == INSTANTS
    assert apart[INSTANTS // 2] < DELAY, "the median, so that a busy machine may hold up a few"


async def test_plain_text_connects_over_a_long_way() -> None:
    server = grpc_kit.Server("127.0.0.1:0")
    port = await server.start([])
    await server.ready()
    with Proxy(port) as proxy:
        proxy.weather = Weather(delay=0.15)
        assert await grpc_kit.healthy(proxy.address, 20)
    await server.stop(0)
