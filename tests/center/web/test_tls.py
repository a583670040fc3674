"""HTTPS of the page, over real sockets."""

import asyncio
import shutil
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect

from center.output.broadcast import PairBroadcaster
from center.web.app import Page
from center.web.connections import Limits
from tests import locked
from tests.waiting import eventually
from wire.runtime.errors import UserError
from wire.security import followed

MOST, OF_ONE = 8, 5
HANDSHAKE_SECONDS = 3.0


@pytest.fixture
def folder(certs: Path, tmp_path: Path) -> Path:
    """certificate.pem, key.pem and authority.pem of the center, to be changed."""
    return Path(shutil.copytree(certs / "center", tmp_path / "center"))


@pytest.fixture
async def page(folder: Path) -> AsyncIterator[Page]:
    certificate = locked.https(folder / "certificate.pem", folder / "key.pem")
    limits = Limits(most=MOST, most_per_client=OF_ONE, header_seconds=HANDSHAKE_SECONDS)
    served = Page(
        "127.0.0.1",
        0,
        PairBroadcaster(),
        CollectorRegistry(),
        "",
        lambda: {"ready": True},
        limits=limits,
        certificate=certificate,
    )
    await served.start()
    yield served
    await served.stop()


def believing(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "authority.pem"))


async def test_the_page_and_its_socket_are_served_encrypted(page: Page, folder: Path) -> None:
    async with httpx.AsyncClient(verify=believing(folder), trust_env=False) as client:
        answer = await client.get(f"https://localhost:{page.port}/healthz")
        assert answer.status_code == 200
    address = f"wss://localhost:{page.port}/ws"
    async with connect(address, ssl=believing(folder), origin=f"https://localhost:{page.port}", proxy=None):  # type: ignore[arg-type]
        pass


async def test_old_versions_of_tls_and_plain_http_are_not_answered(page: Page, folder: Path) -> None:
    old = believing(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        await asyncio.open_connection("localhost", page.port, ssl=old)
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.HTTPError):
            await client.get(f"http://localhost:{page.port}/healthz")


async def test_sockets_that_shake_no_hands_are_counted_and_closed(page: Page, folder: Path) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(3 * MOST)]
    closed = [asyncio.create_task(reader.read()) for reader, _ in silent]
    await eventually(
        lambda: sum(each.done() for each in closed) >= 3 * MOST - OF_ONE
    )  # those beyond the limit, at once
    await asyncio.wait_for(asyncio.gather(*closed, return_exceptions=True), 20)  # the others after header_seconds
    async with httpx.AsyncClient(verify=believing(folder), trust_env=False) as client:
        assert (await client.get(f"https://localhost:{page.port}/healthz")).status_code == 200
    for _, writer in silent:
        writer.close()


async def test_one_client_s_silent_sockets_leave_room_for_others(
    page: Page, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a single one could keep every handshake busy, again and again, and nobody else would see the page."""
    silent = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(2 * MOST)]
    other = await asyncio.open_connection(
        "127.0.0.1", page.port, local_addr=("127.0.0.2", 0), ssl=believing(folder), server_hostname="localhost"
    )
    other[1].write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b" 200 " in await asyncio.wait_for(other[0].readline(), 10)
    assert caplog.text.count("the page refuses connections") == 1, "told once, not for each"
    for _, writer in (*silent, other):
        writer.close()


async def test_a_renewed_certificate_counts_for_the_next_connection(
    page: Page, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploy.local.certs import make

    monkeypatch.setattr(followed, "CHECK_SECONDS", 0.0)
    before = await shown(page, folder)
    make(tmp_path / "others")
    for name in ("certificate.pem", "key.pem", "authority.pem"):
        shutil.copy(tmp_path / "others" / "center" / name, folder / name)
    assert await shown(page, folder) != before


async def shown(page: Page, folder: Path) -> bytes:
    """The certificate that a new connection sees, DER; it must be of the authority in the folder."""
    _, writer = await asyncio.open_connection("localhost", page.port, ssl=believing(folder), family=socket.AF_INET)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(found, bytes)
    return found


def test_files_that_are_no_pair_are_told_by_name(folder: Path, certs: Path) -> None:
    with pytest.raises(UserError, match=r"page.certificate .* and page.key .*no readable PEM pair"):
        locked.https(folder / "certificate.pem", certs / "emulator" / "key.pem")
