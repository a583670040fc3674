"""The uplink against a server that behaves, misbehaves, leaves and comes back."""

import asyncio
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from tests.edge.conftest import HASH, NOW_NS, FakeLink, Rig, until
from wire.contract import arrays
from wire.runtime import grpc_kit
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1.types_pb2 import SAMPLE_TYPE_F16, VIEW_LEFT


async def connected(rig: Rig, link: FakeLink, hellos: int = 1) -> None:
    await until(lambda: len(link.hellos) >= hellos and rig.count("connected") == 1)


async def streamed(rig: Rig, link: FakeLink) -> None:
    """Shoot until a new frame has arrived and is acknowledged."""
    before = len(link.frames)

    def arrived() -> bool:
        rig.shoot()
        return len(link.frames) > before

    await until(arrived)


async def test_a_picture_becomes_a_frame(rig: Rig, link: FakeLink) -> None:
    await connected(rig, link)
    rig.shoot(brightness=51, age_ms=20)
    await until(lambda: rig.count("frames_total", outcome="accepted", reason="") == 1)
    (hello,), (frame,) = link.hellos, link.frames
    assert (hello.rig, hello.view, hello.codec_hash, hello.boot_id) == ("demo", VIEW_LEFT, HASH, 42)
    assert hello.last_acknowledged == 0
    assert frame.sequence == 1
    assert frame.captured_at_ns == NOW_NS - 20 * 10**6
    assert frame.age_budget_ms == 300
    assert frame.encoder_snr_db == 10.0
    assert not frame.referenced
    assert [stage.stage for stage in frame.stages] == ["capture", "encode"]
    assert frame.stages[0].microseconds == 7
    np.testing.assert_allclose(arrays.unpack_complex(frame.symbols), np.full(5120, 0.2 + 1j), rtol=1e-3)
    assert rig.count("credit") == 2
    assert frame.symbols.sample_type == SAMPLE_TYPE_F16
    assert 5120 * 4 < rig.count("sent_bytes_total") < 5120 * 8


async def test_the_encoder_assumes_what_the_link_reports(rig: Rig, link: FakeLink) -> None:
    await connected(rig, link)
    await link.say(link_report=link_pb2.LinkReport(snr_db=3.5))
    await until(lambda: rig.count("link_snr_decibels") == 3.5)
    rig.shoot()
    await until(lambda: link.frames)
    for none in (float("nan"), float("-inf"), 3e38, -51.0):  # would stay for as long as nothing better is told
        await link.say(link_report=link_pb2.LinkReport(snr_db=none))
    await link.say(acknowledgement=link_pb2.Acknowledgement(sequence=9, outcome=link_pb2.OUTCOME_LOST))
    await until(lambda: rig.count("frames_total", outcome="lost", reason="") == 1)
    assert rig.count("link_snr_decibels") == 3.5
    await link.say(link_report=link_pb2.LinkReport(snr_db=float("inf")))
    await until(lambda: rig.count("link_snr_decibels") == float("inf"))
    rig.shoot()
    await until(lambda: len(link.frames) == 2)
    assert [frame.encoder_snr_db for frame in link.frames] == [3.5, float("inf")]
    assert rig.encoder.snrs == [3.5, float("inf")]


async def test_without_credit_the_newest_picture_waits_and_nothing_is_encoded(rig: Rig, link: FakeLink) -> None:
    link.answer = lambda _: None
    await connected(rig, link)
    for count in (1, 2):
        rig.shoot()
        await until(lambda count=count: len(link.frames) == count)  # type: ignore[misc]
    assert rig.uplink.held_up_by == "credit"
    for brightness in (10, 20, 30):
        rig.shoot(brightness)
    assert len(rig.encoder.snrs) == 2
    await link.say(acknowledgement=link_pb2.Acknowledgement(sequence=1, outcome=link_pb2.OUTCOME_LOST, reason="loss"))
    await until(lambda: len(link.frames) == 3)
    assert arrays.unpack_complex(link.frames[2].symbols)[0].real == pytest.approx(30 / 255, abs=1e-3)  # f16
    assert rig.count("drops_total", reason="credit") == 2
    assert rig.count("frames_total", outcome="lost", reason="loss") == 1


async def test_a_rejected_frame_does_not_end_the_stream(
    rig: Rig, link: FakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    link.answer = lambda frame: link_pb2.Acknowledgement(
        sequence=frame.sequence, outcome=link_pb2.OUTCOME_REJECTED, reason="power", detail="mean power is 4; send 1"
    )
    await connected(rig, link)
    for count in range(1, 6):
        rig.shoot()
        await until(lambda count=count: rig.count("frames_total", outcome="rejected", reason="power") == count)  # type: ignore[misc]
    assert len(link.hellos) == 1
    rejected = [message for message in caplog.messages if "rejected" in message]
    assert rejected == ["frame 1 rejected (power): mean power is 4; send 1"]


async def test_a_reason_that_nobody_knows_makes_no_new_series(rig: Rig, link: FakeLink) -> None:
    link.answer = lambda frame: link_pb2.Acknowledgement(
        sequence=frame.sequence, outcome=link_pb2.OUTCOME_DROPPED, reason=f"because {frame.sequence}"
    )
    await connected(rig, link)
    rig.shoot()
    await until(lambda: rig.count("frames_total", outcome="dropped", reason="other") == 1)


async def test_an_old_picture_is_dropped_before_it_is_encoded(rig: Rig, link: FakeLink) -> None:
    await connected(rig, link)
    rig.shoot(age_ms=301)
    await until(lambda: rig.count("drops_total", reason="age") == 1)
    rig.shoot(age_ms=299)
    await until(lambda: link.frames)
    assert len(rig.encoder.snrs) == 1


async def test_drained_we_leave_politely_and_come_back(
    rig: Rig, link: FakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    await connected(rig, link)
    rig.shoot()
    await until(lambda: rig.count("frames_total", outcome="accepted", reason="") == 1)
    await link.say(drain=link_pb2.Drain(reason="the center stops", reconnect_after_ms=20))
    await connected(rig, link, hellos=2)
    assert link.ended == 1
    assert link.hellos[1].last_acknowledged == 1
    assert link.hellos[1].boot_id == 42
    assert rig.count("reconnects_total") == 1
    assert rig.count("link_ends_total", reason="drain") == 1
    assert any("is going away (the center stops); back in 0.02 s" in message for message in caplog.messages)
    await streamed(rig, link)
    assert link.frames[-1].sequence > 1


async def test_a_fleet_that_is_drained_does_not_come_back_in_one_moment(rig: Rig) -> None:
    session = SimpleNamespace(drain=link_pb2.Drain(reconnect_after_ms=2_000))
    waits = [rig.uplink._ended(session).wait for _ in range(50)]  # type: ignore[arg-type]
    assert 2.0 <= min(waits) < 2.3
    assert 2.7 < max(waits) < 3.1


async def test_drained_by_one_of_several_we_go_to_another_at_once(rig: Rig) -> None:
    link = rig.uplink._config.link.model_copy(update={"address": "dns:///centers:50051"})
    rig.uplink._config = rig.uplink._config.model_copy(update={"link": link})
    session = SimpleNamespace(drain=link_pb2.Drain(reconnect_after_ms=2_000))
    cap = rig.uplink._config.link.backoff_cap_s
    ends = [rig.uplink._ended(session) for _ in range(50)]  # type: ignore[arg-type]
    assert max(end.wait for end in ends) <= cap
    assert all(end.fresh for end in ends), "a connection that stands would not learn of centers that were added"


@pytest.mark.parametrize(
    "status",
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "codec 0123 is not ours (4567); install the same codec"),
        (grpc.StatusCode.INVALID_ARGUMENT, "view 7 is unknown"),
    ],
)
async def test_a_refusal_is_logged_once_and_tried_again(
    rig: Rig, link: FakeLink, caplog: pytest.LogCaptureFixture, status: tuple[grpc.StatusCode, str]
) -> None:
    await connected(rig, link)
    link.refusal = status
    await link.stop()
    await link.start()
    await until(lambda: len(link.hellos) >= 6)
    assert rig.count("connected") == 0
    link.refusal = None
    await connected(rig, link, hellos=len(link.hellos) + 1)
    refusals = [message for message in caplog.messages if "refuses this edge" in message]
    assert refusals == [f"127.0.0.1:{link.port} refuses this edge: {status[1]}"]


async def test_refusals_are_answered_by_waits_that_grow_and_differ(rig: Rig, link: FakeLink) -> None:
    """By default up to 1 s after the first and up to 10 s after some; here a tenth of that."""
    waits: list[float] = []
    wait = rig.uplink._refused.next
    rig.uplink._refused.next = lambda: waits.append(wait()) or 0.0  # type: ignore[func-returns-value, method-assign]
    await connected(rig, link)
    link.refusal = (grpc.StatusCode.FAILED_PRECONDITION, "no")
    await link.stop()
    await link.start()
    await until(lambda: len(waits) >= 30)
    assert max(waits[:1]) <= 0.1 < max(waits) <= 1.0
    assert len(set(waits)) == len(waits)


async def test_a_link_that_grants_no_credit_is_told_of(
    rig: Rig, link: FakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    link.credit = 0
    await link.stop()
    await link.start()
    await until(lambda: any("it lets nothing be sent" in message for message in caplog.messages))


async def test_a_restarted_server_gets_pictures_again(rig: Rig, link: FakeLink) -> None:
    await connected(rig, link)
    await streamed(rig, link)
    await link.stop()
    await until(lambda: rig.count("connected") == 0)
    encoded = len(rig.encoder.snrs)
    for _ in range(20):
        rig.shoot()
        await asyncio.sleep(0.005)
    assert rig.count("drops_total", reason="offline") >= 19
    assert len(rig.encoder.snrs) == encoded
    await link.start()
    began = asyncio.get_running_loop().time()
    await connected(rig, link, hellos=2)
    await streamed(rig, link)
    assert asyncio.get_running_loop().time() - began < 20


async def test_silence_is_noticed(hasty_rig: Rig, link: FakeLink, caplog: pytest.LogCaptureFixture) -> None:
    link.answer = lambda _: None
    await connected(hasty_rig, link)
    hasty_rig.shoot()
    await connected(hasty_rig, link, hellos=2)
    assert hasty_rig.count("frames_total", outcome="unanswered", reason="") == 1
    assert hasty_rig.count("link_ends_total", reason="silent") == 1
    assert any("no acknowledgement for 0.3 s; connecting anew" in message for message in caplog.messages)


async def test_a_server_that_takes_the_hello_and_says_nothing_is_left(hasty_rig: Rig, link: FakeLink) -> None:
    await connected(hasty_rig, link)
    link.hang = True
    await link.stop()
    await link.start()
    await until(lambda: len(link.hellos) >= 3)
    assert hasty_rig.count("connected") == 0
    link.hang = False
    await connected(hasty_rig, link, hellos=len(link.hellos) + 1)


async def test_a_stream_that_the_other_side_cancels_is_begun_again(rig: Rig, link: FakeLink) -> None:
    """gRPC raises CancelledError in the client then: the uplink must not take it for its own end."""
    await connected(rig, link)
    assert link.context is not None
    link.refusal = (grpc.StatusCode.CANCELLED, "cancelled over there")
    await link.stop()
    await link.start()
    await until(lambda: len(link.hellos) >= 3)
    link.refusal = None
    await connected(rig, link, hellos=len(link.hellos) + 1)
    await streamed(rig, link)


async def test_a_status_that_grpc_lost_gets_a_line(rig: Rig, link: FakeLink, caplog: pytest.LogCaptureFixture) -> None:
    await connected(rig, link)
    link.refusal = (grpc.StatusCode.INTERNAL, grpc_kit.STATUS_LOST)
    await link.stop()
    await link.start()
    await until(lambda: len(link.hellos) >= 3)
    line = "it ended the stream while a frame was being sent; its log says why; trying again"
    assert any(message.endswith(line) for message in caplog.messages)


async def test_leaving_waits_for_the_answers_that_are_due(rig: Rig, link: FakeLink) -> None:
    await connected(rig, link)
    rig.shoot()
    await until(lambda: link.frames)
    rig.uplink.leave()
    await until(lambda: link.ended == 1)
    await until(lambda: rig.count("link_ends_total", reason="left") == 1)
    assert rig.count("frames_total", outcome="accepted", reason="") == 1
    assert rig.count("connected") == 0


async def test_the_clock_offset_is_measured(rig: Rig, link: FakeLink) -> None:
    """The server's Welcome says that it is a second ahead."""
    await connected(rig, link)
    assert 0.5 < rig.count("clock_offset_seconds") <= 1.0


async def test_a_hundred_reconnects_leave_nothing_behind(rig: Rig, link: FakeLink) -> None:
    await connected(rig, link)
    tasks = 0
    for round_ in range(100):
        await streamed(rig, link)
        await link.say(drain=link_pb2.Drain(reconnect_after_ms=0))
        await connected(rig, link, hellos=round_ + 2)
        if round_ == 20:
            tasks = len(asyncio.all_tasks())
    assert len(asyncio.all_tasks()) <= tasks + 1
    assert rig.count("reconnects_total") == 100
    sequences = [frame.sequence for frame in link.frames]
    assert sequences == sorted(set(sequences))
