"""Three centers behind one name, and cameras that stream to whichever the ring of hashes gives their rig."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from grpc import aio

from center.config import CenterConfig
from center.service import Center
from tests.center.conftest import CODEC_HASH, SYMBOL_ROW, FakeEngine
from wire.contract.arrays import pack_complex
from wire.runtime.grpc_kit import OWN, CutOff, await_call, connect
from wire.security.keyring import NO_KEYS
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import symbol_link_service_pb2_grpc as link_grpc
from wire.views import View

PERIOD = 0.1
LONG = 60.0
"""Seconds for what takes a fraction of one on a machine that is not busy."""


class Roamer:
    """One view of one rig: connects anew, by the name of all centers, whenever its stream ends."""

    def __init__(self, centers: str, rig: str, view: View) -> None:
        self.centers, self.rig, self.view = centers, rig, view
        self.streams, self.sent = 0, list[int]()
        self.at = 0
        """boot_id of the center that has it; 0 while none has."""
        self.call: Any = None
        self._task = asyncio.create_task(self._roam())

    async def _roam(self) -> None:
        while True:
            async with connect(self.centers, NO_KEYS, OWN) as channel:
                with suppress(aio.AioRpcError, asyncio.InvalidStateError, CutOff):
                    await self._stream(channel)
            self.at = 0
            await asyncio.sleep(0.02)

    async def _stream(self, channel: aio.Channel) -> None:
        self.call = link_grpc.SymbolLinkServiceStub(channel).Transmit(
            metadata=(("x-rig-id", self.rig),), wait_for_ready=True
        )
        hello = link_pb2.Hello(rig=self.rig, view=self.view.to_proto(), codec_hash=CODEC_HASH, boot_id=1, frame_rate=10)
        await await_call(self.call.write(link_pb2.TransmitRequest(hello=hello)))
        welcome = await await_call(self.call.read())
        if welcome is aio.EOF:
            return
        self.at, self.streams = welcome.welcome.boot_id, self.streams + 1
        sending = asyncio.create_task(self._send(self.call))
        try:
            while (answer := await await_call(self.call.read())) is not aio.EOF:
                if answer.HasField("drain"):
                    sending.cancel()
                    await self.call.done_writing()
        finally:
            sending.cancel()

    async def _send(self, call: Any) -> None:
        """The beat is that of the wall clock, so both views of a rig capture the same instants."""
        while True:
            sequence = int(time.time() / PERIOD) + 1
            await asyncio.sleep(sequence * PERIOD - time.time())
            frame = link_pb2.SymbolFrame(
                sequence=sequence, captured_at_ns=round(sequence * PERIOD * 1e9), symbols=pack_complex(SYMBOL_ROW)
            )
            await call.write(link_pb2.TransmitRequest(frame=frame))
            self.sent.append(sequence)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Waking(FakeEngine):
    """Is not warm before it may be: so long its center listens and says that it is not ready."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()

    def decode(self, batch: Any) -> Any:
        self.may.wait(60.0)
        return super().decode(batch)


class House:
    """Centers behind one name, rigs, and the instants that were shown as pairs."""

    def __init__(self, **links: Any) -> None:
        self.engines = [Waking() for _ in range(3)]
        values = {"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0}, "drain_s": 0.2, "links": links}
        values["pairing"] = {"patience_ms": 1_000}  # a busy machine parts no views
        self.centers = [Center(CenterConfig.model_validate(values), engine) for engine in self.engines]
        self.starts: list[asyncio.Task[None]] = []
        self.cameras: list[Roamer] = []
        self.pairs: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        """By rig: number of its center and sequence, as they were shown."""
        self._watching: list[asyncio.Task[None]] = []

    async def open(self, awake: int, rigs: list[str]) -> None:
        """All three listen; so many are ready."""
        for engine in self.engines[:awake]:
            engine.may.set()
        self.starts = [asyncio.create_task(center.start()) for center in self.centers]
        await asyncio.gather(*self.starts[:awake])
        async with asyncio.timeout(LONG):
            while not all(center.port for center in self.centers):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        self._watching = [asyncio.create_task(self._watch(number)) for number in range(3)]
        name = "ipv4:" + ",".join(f"127.0.0.1:{center.port}" for center in self.centers)
        self.cameras = [Roamer(name, rig, view) for rig in rigs for view in View]

    async def _watch(self, number: int) -> None:
        async for pair in self.centers[number].broadcaster.watch():
            if not pair.single:
                self.pairs[pair.rig].append((number, pair.views[0].sequence))

    async def wake(self, number: int) -> None:
        self.engines[number].may.set()
        await self.starts[number]

    def at(self, number: int) -> set[str]:
        """Rigs of which a view is at this center."""
        return {session.rig.name for session in self.centers[number]._ingest.sessions()}

    async def close(self) -> None:
        await asyncio.gather(*(camera.close() for camera in self.cameras))
        for task in self._watching:
            task.cancel()
        for engine in self.engines:
            engine.may.set()
        await asyncio.gather(*self.starts)
        await asyncio.gather(*(center.stop() for center in self.centers))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


Open = Callable[..., Any]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    houses: list[House] = []

    async def make(awake: int, rigs: list[str], **links: Any) -> House:
        houses.append(House(**links))
        await houses[-1].open(awake, rigs)
        return houses[-1]

    yield make
    for house in houses:
        await house.close()


RIGS = [f"rig-{number}" for number in range(10)]


async def test_a_center_that_is_killed_moves_its_own_rigs_only_and_no_other_loses_a_pair(opened: Open) -> None:
    house = await opened(3, RIGS)
    await until(lambda: all(len(house.pairs[rig]) >= 3 for rig in RIGS))
    owner = {rig: house.pairs[rig][-1][0] for rig in RIGS}
    assert len(set(owner.values())) > 1
    dead = max(set(owner.values()), key=list(owner.values()).count)
    streams = {(camera.rig, camera.view): camera.streams for camera in house.cameras}
    await house.centers[dead].server.grpc.stop(0)  # its streams break off, without a word
    moved = {rig for rig in RIGS if owner[rig] == dead}
    await until(lambda: all(house.pairs[rig][-1][0] != dead for rig in moved))
    ended_at = round(time.time() / PERIOD)
    await until(lambda: all(house.pairs[rig][-1][1] > ended_at + 2 for rig in RIGS))
    for rig in set(RIGS) - moved:
        assert {number for number, _ in house.pairs[rig]} == {owner[rig]}
        sent = set.intersection(*(set(camera.sent) for camera in house.cameras if camera.rig == rig))
        missing = {number for number in sent if number <= ended_at} - {sequence for _, sequence in house.pairs[rig]}
        known = house.centers[owner[rig]].rigs.get(rig)
        assert known is not None
        assert len(missing) <= known.drops.total(), "a busy machine may drop some, and counts them"
    for camera in house.cameras:
        begun = camera.streams - streams[camera.rig, camera.view]
        assert begun >= 1 if camera.rig in moved else begun == 0, camera.rig
    for rig in moved:
        lost = min(sequence for number, sequence in house.pairs[rig] if number != dead) - max(
            sequence for number, sequence in house.pairs[rig] if number == dead
        )
        assert lost * PERIOD < 10.0


async def test_views_that_an_added_center_has_parted_find_each_other(opened: Open) -> None:
    house = await opened(2, RIGS, reunite_s=0.3)
    await until(lambda: all(len(house.pairs[rig]) >= 2 for rig in RIGS))
    assert not house.at(2)
    await house.wake(2)
    parted = set()

    def look() -> None:
        for rig in RIGS:
            where = {camera.at for camera in house.cameras if camera.rig == rig}
            if len(where - {0}) == 2:
                parted.add(rig)

    async def left_views_go_to_the_new_one() -> None:
        """Each is cut off until the ring has given some of them to the third."""
        while not house.at(2):
            for camera in house.cameras:
                if camera.view is View.LEFT:
                    camera.call.cancel()
            await asyncio.sleep(0.3)
            look()

    async with asyncio.timeout(LONG):
        await left_views_go_to_the_new_one()
    assert parted, "else there is nothing to mend"
    began = round(time.time() / PERIOD)
    await until(lambda: all(house.pairs[rig][-1][1] > began + 10 for rig in RIGS))
    together = {rig: {camera.at for camera in house.cameras if camera.rig == rig} for rig in RIGS}
    assert all(len(where) == 1 for where in together.values()), together
    assert any(house.pairs[rig][-1][0] == 2 for rig in parted), "they met where the ring leads now"
