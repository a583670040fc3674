"""Bad networks and bad neighbours of real services: what is shown, what is counted, and that all is well again."""

import asyncio
import time

import grpc
import pytest

from deploy.bench.faults.proxy import Weather
from deploy.bench.faults.usage import Holding
from deploy.bench.loopback import Edge, picture
from tests.faults.conftest import System, until
from wire import codec
from wire.runtime.grpc_kit import CLIENT_OPTIONS
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub

HOPS = ["near", "far"]


@pytest.mark.parametrize("hop", HOPS)
def test_a_broken_connection_comes_back_and_is_counted(system: System, hop: str) -> None:
    before, began = system.metric("edge", "reconnects_total"), time.monotonic()
    assert getattr(system, hop).cut() > 0
    until(lambda: system.metric("edge", "reconnects_total") > before)
    system.wait_for_a_pair()
    system.check(began)


def test_a_slow_network_shows_older_pictures_and_all_of_them_whole(system: System) -> None:
    """Not much slower: docs/reliability.md says from which delay on the default settings let nothing through."""
    system.near.weather = Weather(delay=0.06)
    time.sleep(1.0)
    began = time.monotonic()
    system.wait_for_a_pair()
    assert min(each.age for each in system.new(began)) > 0.06
    system.check(began)


@pytest.mark.parametrize("hop", HOPS)
def test_a_long_way_parts_no_pairs(system: System, hop: str) -> None:
    """120 ms each way, over connections that are made there."""
    proxy, began = getattr(system, hop), time.monotonic()
    proxy.weather = Weather(delay=0.12)
    proxy.cut()

    def are_pairs() -> bool:
        newest = system.new(began)[-12:]
        return len(newest) == 12 and min(each.age for each in newest) > 0.12 and sum(e.paired for e in newest) >= 10

    until(are_pairs)
    system.check(began)


def test_a_narrow_network_shows_fewer_pictures_and_none_that_is_old(system: System) -> None:
    held_back = system.metric("edge", "drops_total") + system.metric("center", "drops_total")
    system.near.weather = Weather(rate=60_000)  # three frames of 41 kB in two seconds, where there are sixteen
    began = time.monotonic()
    until(lambda: system.metric("edge", "drops_total") + system.metric("center", "drops_total") > held_back + 3)
    system.near.weather = Weather()
    system.wait_for_a_pair()
    system.check(began)


@pytest.mark.parametrize("hop", HOPS)
def test_bits_that_turn_over_show_no_picture_as_another(system: System, hop: str) -> None:
    proxy, began = getattr(system, hop), time.monotonic()
    before = proxy.corrupted
    proxy.weather = Weather(corrupt=0.1)
    until(lambda: proxy.corrupted >= before + 8)
    proxy.weather = Weather()
    proxy.cut()  # a length that is wrong makes HTTP/2 wait for bytes that never come
    system.wait_for_a_pair()
    system.check(began)


def test_a_network_that_stands_still_is_noticed_and_nothing_old_is_shown(system: System) -> None:
    before, began = system.metric("edge", "link_ends_total", reason="silent"), time.monotonic()
    system.near.weather = Weather(held=True)
    until(lambda: system.metric("edge", "link_ends_total", reason="silent") > before)
    system.near.weather = Weather()
    system.wait_for_a_pair()
    system.check(began)


def test_a_half_open_connection_is_given_up_for_a_new_one(system: System) -> None:
    before, began = system.near.connections, time.monotonic()
    system.near.abandon()
    until(lambda: system.near.connections >= before + 2)
    system.wait_for_a_pair()
    system.check(began)


def test_a_reader_that_does_not_read_costs_nothing_and_sees_what_is_new_at_once(system: System) -> None:
    center, began = system.stack.process("center"), time.monotonic()
    assert center.pid is not None
    before = Holding.of(center.pid)
    with grpc.insecure_channel(f"127.0.0.1:{system.stack.ports.center}", options=CLIENT_OPTIONS) as channel:
        calls = [PairServiceStub(channel).WatchPairs(pairs_pb2.WatchPairsRequest()) for _ in range(8)]
        until(lambda: len(system.new(began)) > 12)
        assert Holding.of(center.pid).rss - before.rss < 20 * 2**20
        reopened = time.time_ns()
        stale = 0
        while next(calls[0]).captured_at_ns < reopened - 1e9:
            stale += 1
        assert stale <= 2, "what is in the connection's own buffer"
        for call in calls:
            call.cancel()
    system.check(began)


def test_frames_that_come_twice_or_out_of_order_are_refused_one_by_one(system: System) -> None:
    began = time.monotonic()

    async def send() -> list[tuple[int, str]]:
        async with Edge(f"127.0.0.1:{system.stack.ports.emulator}", rig="odd") as edge:
            edge.says(codec_hash=codec.load_onnx(codec.DEFAULT, "decoder", 1).codec_hash)
            await edge.hello()
            answers = []
            for sequence in (1, 2, 2, 5, 3, 6):
                frame = picture(sequence)
                frame.age_budget_ms = 20_000  # a lone view waits for its partner, and then for a busy machine
                answers.append(await edge.frame(frame))
            return [(answer.outcome, answer.reason) for answer in answers]

    taken, refused = (link_pb2.OUTCOME_ACCEPTED, ""), (link_pb2.OUTCOME_REJECTED, "sequence")
    assert asyncio.run(send()) == [taken, taken, refused, taken, refused, taken]
    system.wait_for_a_pair()
    system.check(began)


def test_a_rig_that_flaps_disturbs_nobody(system: System) -> None:
    """`vergence bench faults --reconnects 1000` is the long one."""
    began = time.monotonic()

    async def flap() -> None:
        of = codec.load_onnx(codec.DEFAULT, "decoder", 1).codec_hash
        for number in range(60):
            async with Edge(f"127.0.0.1:{system.stack.ports.emulator}", rig="flapping", boot_id=number + 1) as edge:
                edge.says(codec_hash=of)
                await edge.hello()
                if number % 2:
                    await edge.leave()

    asyncio.run(flap())
    system.wait_for_a_pair()
    system.check(began)
    assert system.metric("emulator", "streams_total", rig="flapping") == 60
