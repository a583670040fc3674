"""Several centers behind one name: where the streams of a rig go."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc import aio

from wire.runtime import grpc_kit
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1 import reference_service_pb2_grpc as reference_grpc

RIGS = [f"rig-{number}" for number in range(30)]


class Center(reference_grpc.ReferenceServiceServicer):
    """Remembers which rigs came to it."""

    def __init__(self) -> None:
        self.rigs: set[str] = set()
        self.server = grpc_kit.Server("127.0.0.1:0")
        self.port = 0

    async def SubmitReference(self, request: Any, context: Any) -> Any:  # type: ignore[override]  # noqa: N802
        self.rigs.add(request.rig)
        return reference_pb2.SubmitReferenceResponse()

    async def start(self) -> None:
        reference_grpc.add_ReferenceServiceServicer_to_server(self, self.server.grpc)
        self.port = await self.server.start(["vergence.v1.ReferenceService"])
        await self.server.ready()


@pytest.fixture
async def centers() -> AsyncIterator[list[Center]]:
    three = [Center(), Center(), Center()]
    for center in three:
        await center.start()
    yield three
    for center in three:
        await center.server.stop(0)


async def call_from_every_rig(channel: aio.Channel) -> None:
    stub: Any = reference_grpc.ReferenceServiceStub(channel)
    for rig in RIGS:
        request = reference_pb2.SubmitReferenceRequest(rig=rig)
        await stub.SubmitReference(request, metadata=(("x-rig-id", rig),), timeout=5, wait_for_ready=True)


async def test_clients_agree_on_the_center_of_every_rig(centers: list[Center]) -> None:
    addresses = [f"127.0.0.1:{center.port}" for center in centers]
    for order in (addresses, addresses[::-1]):
        async with grpc_kit.connect("ipv4:" + ",".join(order)) as channel:
            await call_from_every_rig(channel)
    assert sum(len(center.rigs) for center in centers) == len(RIGS)
    assert sum(bool(center.rigs) for center in centers) > 1


async def test_a_center_that_dies_moves_its_own_rigs_only(centers: list[Center]) -> None:
    async with grpc_kit.connect("ipv4:" + ",".join(f"127.0.0.1:{center.port}" for center in centers)) as channel:
        await call_from_every_rig(channel)
        dead, *left = sorted(centers, key=lambda center: -len(center.rigs))
        before = [set(center.rigs) for center in left]
        await dead.server.stop(0)
        await call_from_every_rig(channel)
    for center, had in zip(left, before, strict=True):
        assert had <= center.rigs
    assert set().union(*(center.rigs for center in left)) == set(RIGS)
    assert sum(len(center.rigs) for center in left) == len(RIGS)


async def test_a_center_that_is_about_to_leave_gets_no_new_streams(centers: list[Center]) -> None:
    async with grpc_kit.connect("ipv4:" + ",".join(f"127.0.0.1:{center.port}" for center in centers)) as channel:
        await call_from_every_rig(channel)
        leaving, *_ = sorted(centers, key=lambda center: -len(center.rigs))
        await leaving.server.leave()  # it still answers
        for _ in range(100):  # the news is on its way
            for center in centers:
                center.rigs.clear()
            await call_from_every_rig(channel)
            if not leaving.rigs:
                break
    assert not leaving.rigs
    assert set().union(*(center.rigs for center in centers)) == set(RIGS)
