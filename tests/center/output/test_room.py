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
    """A door with room for two pairs of 128x256 on their way, and for two that are not read within a tenth of a
    second."""
    broadcaster = PairBroadcaster()
    servicer = PairServicer(broadcaster)
    servicer._room = Room(2 * pair(1).nbytes, slow=0.1)
    server = Server("127.0.0.1:0", largest=LARGEST_SIZE)
    pair_grpc.add_PairServiceServicer_to_server(servicer, server.grpc)
    port = await server.start(["vergence.v1.PairService"])
    yield servicer, broadcaster, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_those_who_read_nothing_leave_room_for_those_who_read(door: Any) -> None:
    """gRPC cannot take an unread message back: what it holds is bounded, and the others go on beside it."""
    servicer, broadcaster, address = door

    async def publish() -> None:
        for number in range(1, 10_000):
            broadcaster.publish(pair(number))
            await asyncio.sleep(0.01)

    async with connect(address) as reading, connect_alone(address) as silent:
        stuck = [pair_grpc.PairServiceStub(silent).WatchPairs(pair_pb2.WatchPairsRequest()) for _ in range(2)]
        await eventually(lambda: servicer._watchers == 2)
        call: Any = pair_grpc.PairServiceStub(reading).WatchPairs(pair_pb2.WatchPairsRequest())
        await eventually(lambda: servicer._watchers == 3)
        publishing = asyncio.create_task(publish())
        try:
            async with asyncio.timeout(30):
                last = after = 0
                while after < 20:
                    response = await call.read()
                    assert response is not aio.EOF
                    assert response.views[0].sequence > last
                    last = response.views[0].sequence
                    after += servicer._room._free_aside == 0
        finally:
            publishing.cancel()
            call.cancel()
        for each in stuck:
            each.cancel()
        await eventually(lambda: servicer._watchers == 0)
    assert servicer._room._free == servicer._room._free_aside == servicer._room._size


async def test_no_more_is_set_aside_than_there_is_room_for() -> None:
    room, held, until = Room(100, slow=0.01), list[int](), asyncio.Event()
    tasks = [asyncio.create_task(hold(room, size, held, until)) for size in (60, 40, 50, 50, 30)]
    await eventually(lambda: held == [60, 40, 50, 50] and room._free_aside == 0)
    await asyncio.sleep(0.05)
    assert len(held) == 4, "100 are set aside, and 100 on their way"
    until.set()
    await asyncio.gather(*tasks)
    assert (held[4], room._free, room._free_aside) == (30, 100, 100)


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
