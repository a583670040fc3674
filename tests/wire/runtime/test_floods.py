"""Floods of HTTP/2 frames: pings end the connection, and under the others, which gRPC does not count, calls go on.

docs/limits.md has what each of them costs.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.bench.faults import floods, http2
from deploy.bench.loopback import Center
from wire.runtime import grpc_kit

SECONDS = 1.0
PATIENCE = 20.0
"""Seconds for a call beside a flood: the flood, the server and the other tests may share one core."""


@pytest.fixture
async def address() -> AsyncIterator[str]:
    center = Center()
    yield await center.start()
    await center.stop()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("path", ["", floods.TRANSMIT])
async def test_a_flood_of_pings_is_told_to_calm_down(address: str, path: str) -> None:
    end = await asyncio.to_thread(http2.flood, port_of(address), http2.pings, PATIENCE, path, until_goaway=True)
    assert end.goaway == http2.ENHANCE_YOUR_CALM
    assert end.sent < 16 * 2**20  # what the sockets hold; it is no longer read


async def test_the_pings_of_our_own_clients_are_no_flood() -> None:
    """A client pings a silent server; it must not do so more often than ours allow."""
    client, server = dict(grpc_kit.CLIENT_OPTIONS), dict(grpc_kit.SERVER_OPTIONS)
    assert client["grpc.keepalive_time_ms"] >= 2 * server["grpc.http2.min_ping_interval_without_data_ms"]


@pytest.mark.parametrize("name", [name for name in floods.FLOODS if name not in floods.ENDED])
async def test_calls_go_on_beside_a_flood_and_after_it(address: str, name: str) -> None:
    flooding = asyncio.create_task(asyncio.to_thread(floods.flood, name, port_of(address), SECONDS))
    answered, began = 0, time.monotonic()
    async with grpc_kit.connect(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while not flooding.done() or not answered:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE, wait_for_ready=True)
            answered += 1
            assert time.monotonic() - began < 3 * PATIENCE
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    assert (await flooding).sent > 0
