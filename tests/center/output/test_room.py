"""How much is on its way to those who watch."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from grpc import aio

from center.output import watch_servicer
from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair, ViewResult
from center.output.room import Room
from center.output.watch_servicer import PairServicer
from tests.waiting import eventually
from wire.geometry import LARGEST_SIZE
from wire.runtime.grpc_kit import OWN, Server, connect
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1 import pair_service_pb2_grpc as pair_grpc
from wire.v1 import types_pb2
from wire.views import View


def pair(number: int, rows: int = 128, columns: int = 256) -> DecodedPair:
    picture = np.full((rows, columns, 3), number % 256, np.uint8)
    views = tuple(ViewResult(view, number, 10.0, picture, 0.1, {}) for view in View)
    return DecodedPair("lab", number, number, single=False, views=views)


async def hold(room: Room, size: int, names: list[int], until: asyncio.Event) -> None:
    async with room.held(size):
        names.append(size)
        await until.wait()


async def test_who_finds_no_room_waits_in_turn() -> None:
    room, held, until = Room(100), list[int](), [asyncio.Event() for _ in range(4)]
    tasks = [
        asyncio.create_task(hold(room, size, held, each)) for size, each in zip((60, 50, 40, 10), until, strict=True)
    ]
    await asyncio.sleep(0)
    assert held == [60], "40 would fit, but came later than 50"
    until[0].set()
    await eventually(lambda: held == [60, 50, 40, 10])
    for each in until:
        each.set()
    await asyncio.gather(*tasks)
    assert room._free == 100


async def test_what_is_larger_than_the_room_takes_all_of_it() -> None:
    room, held, until = Room(100), list[int](), asyncio.Event()
    until.set()
    await hold(room, 5_000, held, until)
    assert held == [5_000]
    assert room._free == 100


async def test_who_leaves_the_queue_holds_up_nobody() -> None:
    room, held, until = Room(100), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(hold(room, size, held, until)) for size in (60, 90, 30)]
    await asyncio.sleep(0)
    assert held == [60]
    tasks[1].cancel()
    await eventually(lambda: held == [60, 30])
    until.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (room._free, len(room._waiting)) == (100, 0)


async def test_who_leaves_as_its_turn_comes_gives_it_on() -> None:
    room, held, until = Room(100), list[int](), asyncio.Event()
    await room._take(60)
    tasks = [asyncio.create_task(hold(room, size, held, until)) for size in (90, 30)]
    await asyncio.sleep(0)
    room._give(60)
    tasks[0].cancel()
    await eventually(lambda: held == [30])
    until.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert room._free == 100


@pytest.fixture
async def door() -> AsyncIterator[tuple[PairServicer, PairBroadcaster, str]]:
    """A door with room for one pair of 128x256, whose watchers have half a second."""
    broadcaster = PairBroadcaster()
    servicer = PairServicer(broadcaster, unread=0.5)
    servicer._room = Room(pair(1).nbytes)
    server = Server("127.0.0.1:0", largest=LARGEST_SIZE)
    pair_grpc.add_PairServiceServicer_to_server(servicer, server.grpc)
    port = await server.start(["vergence.v1.PairService"])
    yield servicer, broadcaster, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_those_who_read_nothing_are_ended_and_leave_room_for_those_who_read(door: Any) -> None:
    servicer, broadcaster, address = door

    async def publish() -> None:
        for number in range(1, 10_000):
            broadcaster.publish(pair(number))
            await asyncio.sleep(0.02)

    async with connect(address) as reading, connect_alone(address) as silent:
        stuck = [pair_grpc.PairServiceStub(silent).WatchPairs(pair_pb2.WatchPairsRequest()) for _ in range(5)]
        await eventually(lambda: servicer._watchers == 5)
        call: Any = pair_grpc.PairServiceStub(reading).WatchPairs(pair_pb2.WatchPairsRequest())
        await eventually(lambda: servicer._watchers == 6)
        publishing = asyncio.create_task(publish())
        try:
            async with asyncio.timeout(30):
                last = 0
                while servicer._watchers > 1 or last < 20:
                    response = await call.read()
                    assert response is not aio.EOF
                    assert response.views[0].sequence > last
                    last = response.views[0].sequence
        finally:
            publishing.cancel()
            call.cancel()
        statuses = {(await each.code()).name for each in stuck}
    assert statuses <= {"RESOURCE_EXHAUSTED", "INTERNAL"}, "the latter where gRPC loses a status beside a write"


def connect_alone(address: str) -> aio.Channel:
    return aio.insecure_channel(address, options=[OWN, ("grpc.http2.lookahead_bytes", 65_536)])


async def test_a_pair_is_packed_once_however_many_watch(door: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred watchers who ask for PNG files took the cores that the decoder needs."""
    servicer, broadcaster, address = door
    servicer._room, packed, pack = Room(), list[int](), watch_servicer.to_response

    def count(pair: DecodedPair, kind: Any) -> Any:
        packed.append(kind)
        return pack(pair, kind)

    monkeypatch.setattr(watch_servicer, "to_response", count)
    async with connect(address) as channel:
        stub = pair_grpc.PairServiceStub(channel)
        kinds = [types_pb2.PICTURE_FORMAT_PNG] * 8 + [types_pb2.PICTURE_FORMAT_JPEG] * 8
        calls: list[Any] = [stub.WatchPairs(pair_pb2.WatchPairsRequest(format=kind)) for kind in kinds]
        await eventually(lambda: servicer._watchers == len(kinds))
        broadcaster.publish(pair(1))
        answers = [await asyncio.wait_for(call.read(), 20) for call in calls]
        assert [each.views[0].picture.format for each in answers] == kinds
        assert sorted(packed) == sorted(set(kinds))
        for call in calls:
            call.cancel()
        await eventually(lambda: servicer._watchers == 0)
    assert not servicer._made._kept


async def test_how_much_a_pair_is() -> None:
    plain = pair(1, 512, 1024)
    assert plain.nbytes == 2 * 512 * 1024 * 3
    assert plain.with_figures(View.LEFT, 30.0, None, plain.views[0].picture).nbytes == 3 * 512 * 1024 * 3
