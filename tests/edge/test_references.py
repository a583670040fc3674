from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest

from edge.encode.references import MOST_AT_ONCE, References
from edge.metrics import Metrics
from tests.edge.conftest import counted, settings, until
from wire.contract import arrays
from wire.runtime import grpc_kit
from wire.v1 import reference_service_pb2 as reference_pb2
from wire.v1.reference_service_pb2_grpc import ReferenceServiceServicer, add_ReferenceServiceServicer_to_server
from wire.v1.types_pb2 import VIEW_LEFT

PICTURE = np.random.default_rng(0).integers(0, 256, (128, 256, 3), np.uint8)


class FakeCenter(ReferenceServiceServicer):
    """Keeps what comes, if it has the camera."""

    def __init__(self) -> None:
        self.taken: list[reference_pb2.SubmitReferenceRequest] = []
        self.has_camera = True

    async def SubmitReference(  # type: ignore[override]  # noqa: N802
        self,
        request: reference_pb2.SubmitReferenceRequest,
        context: grpc.aio.ServicerContext[reference_pb2.SubmitReferenceRequest, reference_pb2.SubmitReferenceResponse],
    ) -> reference_pb2.SubmitReferenceResponse:
        if not self.has_camera:
            await context.abort(grpc.StatusCode.NOT_FOUND, "rig 'demo' has no left camera here")
        self.taken.append(request)
        return reference_pb2.SubmitReferenceResponse()


@pytest.fixture
async def center() -> AsyncIterator[tuple[FakeCenter, str]]:
    fake, server = FakeCenter(), grpc_kit.Server("127.0.0.1:0")
    add_ReferenceServiceServicer_to_server(fake, server.grpc)
    port = await server.start([])
    yield fake, f"127.0.0.1:{port}"
    await server.stop(0)


async def test_both_views_choose_the_same_instants() -> None:
    """The right camera takes its pictures 4 ms later; both reference every fifth tick."""
    config = settings(reference={"every": 5}, camera={"kind": "synthetic", "fps": 10})
    left, right = (References(config, boot, Metrics("demo", view)) for boot, view in ((1, "left"), (2, "right")))
    ticks = range(17_800_000_000, 17_800_000_050)
    chosen = [k for k in ticks if left.wanted(k * 10**8)]
    assert chosen == [k for k in ticks if right.wanted(k * 10**8 + 4 * 10**6)]
    assert chosen == [k for k in ticks if k % 5 == 0]
    await left.close()
    await right.close()


def test_zero_references_nothing_and_needs_no_center() -> None:
    references = References(settings(reference={"every": 0}), 1, Metrics("demo", "left"))
    assert not any(references.wanted(k * 10**8) for k in range(20))
    assert not references.submit(1, PICTURE)


async def test_the_picture_arrives_untouched(center: tuple[FakeCenter, str]) -> None:
    fake, address = center
    metrics = Metrics("demo", "left")
    references = References(settings(reference={"every": 1, "address": address}), 77, metrics)
    assert references.submit(5, PICTURE)
    await until(lambda: counted(metrics, "references_total", outcome="sent") == 1)
    (taken,) = fake.taken
    assert (taken.rig, taken.view, taken.boot_id, taken.sequence) == ("demo", VIEW_LEFT, 77, 5)
    np.testing.assert_array_equal(arrays.unpack_picture(taken.picture), PICTURE)
    await references.close()


async def test_a_center_that_is_away_costs_a_count_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics("demo", "left")
    references = References(settings(reference={"every": 1, "address": "127.0.0.1:1"}), 77, metrics)
    for sequence in (1, 2, 3):
        assert references.submit(sequence, PICTURE)
    await until(lambda: counted(metrics, "references_total", outcome="failed") == 3)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("reference not taken by 127.0.0.1:1: ")
    await references.close()


async def test_references_find_the_center_that_has_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    """The ring leads to one of two; the stream is at the other, as after a restart of the first."""
    fakes, servers, ports = [FakeCenter(), FakeCenter()], [], []
    for fake in fakes:
        server = grpc_kit.Server("127.0.0.1:0")
        add_ReferenceServiceServicer_to_server(fake, server.grpc)
        ports.append(await server.start([]))
        await server.ready()
        servers.append(server)
    metrics, address = Metrics("demo", "left"), "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    references = References(settings(reference={"every": 1, "address": address}), 77, metrics)
    done = 0

    async def send() -> None:
        nonlocal done
        done += 1
        assert references.submit(done, PICTURE)
        await until(lambda: sum(counted(metrics, "references_total", outcome=o) for o in ("sent", "failed")) == done)

    for here, there in ((0, 1), (1, 0), (0, 1)):
        fakes[here].has_camera, fakes[there].has_camera = True, False
        before = len(fakes[here].taken)
        while len(fakes[here].taken) == before:
            await send()
        for _ in range(5):
            await send()
        assert len(fakes[here].taken) == before + 6, "once found, it is kept"
    assert done < 3 * 32
    assert caplog.messages == []
    await references.close()
    for server in servers:
        await server.stop(0)


async def test_references_do_not_pile_up() -> None:
    metrics = Metrics("demo", "left")
    references = References(settings(reference={"every": 1, "address": "127.0.0.1:1"}), 77, metrics)
    taken = [references.submit(sequence, PICTURE) for sequence in range(10)]
    assert taken == [True] * MOST_AT_ONCE + [False] * (10 - MOST_AT_ONCE)
    assert counted(metrics, "references_total", outcome="skipped") == 10 - MOST_AT_ONCE
    await references.close()
