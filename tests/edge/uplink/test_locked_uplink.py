"""The uplink at a locked door: it comes in with a certificate and a token, and says in words why it does not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from tests import locked
from tests.edge.conftest import FakeLink, edge_without_camera, until
from wire.runtime import grpc_kit
from wire.security import tokens
from wire.security.keyring import NO_KEYS, Keyring
from wire.security.section import SecuritySection


@pytest.fixture
async def locked_link(certs: Path) -> AsyncIterator[FakeLink]:
    fake = FakeLink(keys=locked.keys(certs / "emulator"))
    await fake.start()
    yield fake
    await fake.stop()


async def test_an_edge_streams_through_a_locked_door(locked_link: FakeLink, certs: Path) -> None:
    async with edge_without_camera(locked_link, 3.0, locked.keys(certs / "demo-left")) as rig:
        await until(lambda: rig.count("connected") == 1, 20)
        rig.shoot()
        await until(lambda: rig.count("frames_total", outcome="accepted", reason="") == 1)
    token = (certs / "demo-left" / "token").read_text().strip()
    assert ("authorization", f"Bearer {token}") in locked_link.metadata


async def test_a_refused_edge_says_why_and_does_not_knock_in_a_hurry(
    locked_link: FakeLink, certs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A token of somebody else's book; once its file is mended the edge comes in, without a restart."""
    token = tmp_path / "token"
    token.write_text(tokens.new_token())
    section = {**locked.section(certs / "demo-left"), "token": str(token)}
    keys = Keyring(SecuritySection.model_validate(section))
    async with edge_without_camera(locked_link, 3.0, keys) as rig:
        said = "this token is not known here; use one of this service's token book"
        line = f"127.0.0.1:{locked_link.port} refuses this edge: {said}"
        await until(lambda: line in caplog.messages, 20)
        await asyncio.sleep(0.5)
        assert 1 <= rig.count("link_ends_total", reason="refused") <= 20, "waits grow to 1 s here, drawn at random"
        token.write_text((certs / "demo-left" / "token").read_text())
        await until(lambda: rig.count("connected") == 1, 20)
    assert caplog.messages.count(line) == 1, "told once"
    assert "vgt_" not in caplog.text


async def test_an_edge_without_tls_says_what_the_door_wants(
    locked_link: FakeLink, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_without_camera(locked_link, 3.0, NO_KEYS):
        line = (
            f"127.0.0.1:{locked_link.port}: it hung up at once; it wants a certificate that it knows: check"
            " security.tls on both sides; trying again"
        )
        await until(lambda: line in caplog.messages, 20)


async def test_an_edge_with_tls_says_that_the_link_has_none(
    link: FakeLink, certs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_without_camera(link, 3.0, locked.keys(certs / "demo-left")):
        line = (
            f"127.0.0.1:{link.port}: it speaks plain text, and we TLS; set security.tls there, or nowhere; trying again"
        )
        await until(lambda: line in caplog.messages, 20)


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param((grpc.StatusCode.INTERNAL, grpc_kit.STATUS_LOST), id="by us"),
        pytest.param((grpc.StatusCode.UNAVAILABLE, grpc_kit.STATUS_LOST_BEYOND), id="by the emulator"),
    ],
)
async def test_a_status_that_grpc_lost_after_a_refusal_is_that_refusal(
    link: FakeLink, caplog: pytest.LogCaptureFixture, lost: tuple[grpc.StatusCode, str]
) -> None:
    """Else the edge would knock in a hurry again, and tell the refusal anew after each such loss."""
    link.refusal = (grpc.StatusCode.UNAUTHENTICATED, "not you")
    line = f"127.0.0.1:{link.port} refuses this edge: not you"
    async with edge_without_camera(link, 3.0) as rig:
        await until(lambda: line in caplog.messages, 20)
        link.refusal = lost
        told = rig.count("link_ends_total", reason="refused")
        await until(lambda: rig.count("link_ends_total", reason="refused") >= told + 2, 20)
        link.refusal = (grpc.StatusCode.UNAUTHENTICATED, "not you")
        await until(lambda: rig.count("link_ends_total", reason="refused") >= told + 4, 20)
        assert rig.count("link_ends_total", reason="unavailable") == 0
        link.refusal = None
        await until(lambda: rig.count("connected") == 1, 20)
    assert caplog.messages.count(line) == 1, "told once"
    assert not any("being sent" in message for message in caplog.messages)


async def test_a_status_that_grpc_lost_later_is_told_as_such(link: FakeLink, caplog: pytest.LogCaptureFixture) -> None:
    """What has stood, or failed otherwise, since the refusal may have been lost for another reason."""
    line = "it ended the stream while a frame was being sent; its log says why; trying again"
    link.refusal = (grpc.StatusCode.UNAUTHENTICATED, "not you")
    async with edge_without_camera(link, 3.0) as rig:
        await until(lambda: rig.count("link_ends_total", reason="refused") >= 1, 20)
        link.refusal = None
        await until(lambda: rig.count("connected") == 1, 20)
        link.refusal = (grpc.StatusCode.INTERNAL, grpc_kit.STATUS_LOST)
        await link.stop()
        await link.start()
        await until(lambda: any(message.endswith(line) for message in caplog.messages), 20)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_both_refusals_are_a_person_s_to_mend(
    link: FakeLink, caplog: pytest.LogCaptureFixture, code: grpc.StatusCode
) -> None:
    link.refusal = (code, "not you")
    async with edge_without_camera(link, 3.0):
        await until(lambda: f"127.0.0.1:{link.port} refuses this edge: not you" in caplog.messages, 20)
