import asyncio
import random
import socket

import pytest
from grpc import aio
from prometheus_client import CollectorRegistry

from deploy.bench.faults.proxy import Proxy
from wire import codec
from wire.runtime import grpc_kit, metrics
from wire.runtime.errors import UserError, cause
from wire.runtime.retry import Backoff
from wire.security.keyring import NO_KEYS
from wire.security.section import MetricsDoor
from wire.views import View


def test_backoff_grows_to_its_cap_and_starts_over() -> None:
    class Most(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    backoff = Backoff(first=0.1, cap=1.0, rng=Most())
    assert [backoff.next() for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    backoff.reset()
    assert backoff.next() == pytest.approx(0.1)


def test_backoff_spreads_over_the_whole_range() -> None:
    backoff = Backoff(first=1.0, cap=1.0, rng=random.Random(0))
    waits = [backoff.next() for _ in range(200)]
    assert min(waits) < 0.1
    assert max(waits) > 0.9


def test_views_know_their_place_and_their_other() -> None:
    assert View.LEFT.other is View.RIGHT
    assert [View.from_proto(view.to_proto()).position for view in View] == [0, 1]
    with pytest.raises(UserError, match="view 0 is unknown"):
        View.from_proto(0)


async def test_a_channel_of_its_own_never_gets_a_connection_that_another_one_has() -> None:
    """An edge that leaves a dead connection for a new one was given the dead one back, for three more seconds."""
    server = grpc_kit.Server("127.0.0.1:0")
    port = await server.start([])
    channels: list[aio.Channel] = []
    with Proxy(port) as proxy:
        for own, connections in ((False, 1), (True, 3)):
            for _ in range(2):
                channel = grpc_kit.connect(proxy.address, NO_KEYS, *([grpc_kit.OWN] if own else []))
                await asyncio.wait_for(channel.channel_ready(), 10)
                channels.append(channel)
            assert proxy.connections == connections
        for channel in channels:
            await channel.close()
    await server.stop(0)


async def test_a_server_is_not_healthy_before_it_is_ready() -> None:
    server = grpc_kit.Server("127.0.0.1:0")
    address = f"127.0.0.1:{await server.start([])}"
    assert not await grpc_kit.healthy(address, timeout=2)
    await server.ready()
    assert await grpc_kit.healthy(address, timeout=2)
    await server.leave()
    assert not await grpc_kit.healthy(address, timeout=2)
    await server.stop(0)
    assert not await grpc_kit.healthy(address, timeout=0.2)


async def test_a_taken_port_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"cannot listen on {address}: address already in use; stop what uses"):
            await grpc_kit.Server(address).start([])


async def test_an_address_without_a_port_says_how_to_write_it() -> None:
    with pytest.raises(UserError, match="write the address as host:port"):
        await grpc_kit.Server("127.0.0.1:abc").start([])


def test_a_taken_metrics_port_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UserError, match="cannot serve metrics on"):
        metrics.expose(MetricsDoor(), taken.getsockname()[1], CollectorRegistry())


def test_a_host_that_nobody_knows_is_told_in_words() -> None:
    assert cause(socket.gaierror(-2, "Name or service not known")) == "name or service not known"


def test_an_unknown_codec_names_the_shipped_ones() -> None:
    with pytest.raises(UserError, match="codec 'nope' is neither a folder nor shipped; shipped:"):
        codec.folder("nope")
