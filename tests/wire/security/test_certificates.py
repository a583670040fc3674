"""Mutual TLS over real sockets: who gets a connection, what is said to who does not, and certificates that change."""

import asyncio
import logging
import math
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.authority import Authority
from deploy.local.certs import LOOPBACK, write
from tests import locked
from wire.runtime import grpc_kit, health
from wire.runtime.errors import UserError
from wire.security import certificates
from wire.security.certificates import Certificates, read_pems, why_no_connection
from wire.security.keyring import NO_KEYS, Keyring
from wire.security.section import SecuritySection, TlsSection


@asynccontextmanager
async def serving(keys: Keyring, host: str = "127.0.0.1") -> AsyncIterator[str]:
    server = grpc_kit.Server(f"{host}:0", keys)
    port = await server.start([])
    await server.ready()
    yield f"{host}:{port}"
    await server.stop(0)


async def ask(address: str, keys: Keyring) -> str:
    """SERVING, or the status and its details. Over a connection of its own."""
    async with grpc_kit.connect(address, keys, ("grpc.use_local_subchannel_pool", 1)) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)  # type: ignore[attr-defined]
        except aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def party(
    folder: Path,
    authority: Authority,
    hosts: tuple[str, ...] = LOOPBACK,
    now: datetime | None = None,
) -> Path:
    """A folder with a certificate and whom it believes."""
    signed = authority.sign("test", hosts, 1.0, now)
    folder.mkdir(exist_ok=True)
    write(folder / "certificate.pem", signed.certificate)
    write(folder / "key.pem", signed.key)
    write(folder / "authority.pem", authority.pem().certificate)
    return folder


def test_the_end_is_that_of_the_certificate_or_of_its_authority_as_the_files_are_now(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    keys = locked.keys(party(tmp_path / "party", authority))
    day = 86_400.0
    assert keys.expires_at() == pytest.approx(time.time() + day, abs=60)
    write(tmp_path / "party" / "authority.pem", Authority.new(LONG_AGO - timedelta(days=3640)).pem().certificate)
    assert keys.expires_at() == pytest.approx((LONG_AGO + timedelta(days=10)).timestamp(), abs=60)
    party(tmp_path / "party", authority, now=SOON)
    assert keys.expires_at() == pytest.approx((SOON + timedelta(days=1)).timestamp(), abs=60)
    assert NO_KEYS.expires_at() == math.inf


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


LONG_AGO = datetime.now(UTC) - timedelta(days=30)
SOON = datetime.now(UTC) + timedelta(days=30)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_a_party_of_our_authority_is_served(certs: Path, host: str) -> None:
    try:
        async with serving(locked.keys(certs / "center"), host) as address:
            for name in ("demo-left", "viewer", "emulator"):
                assert await ask(address, locked.keys(certs / name)) == "SERVING"
    except UserError as problem:
        if host == "[::1]":
            pytest.skip(f"no IPv6 here: {problem}")
        raise


@pytest.mark.parametrize(
    ("server", "client", "meaning"),
    [
        (lambda f, ours, other: party(f, ours), None, "it hung up at once"),
        (lambda f, ours, other: None, lambda f, ours, other: party(f, ours), "it speaks plain text, and we TLS"),
        (
            lambda f, ours, other: party(f, other),
            lambda f, ours, other: party(f, ours),
            "its certificate is not of our security.tls.authority",
        ),
        (
            lambda f, ours, other: party(f, ours, ("center.example",)),
            lambda f, ours, other: party(f, ours),
            "its certificate is not made for this name",
        ),
        (
            lambda f, ours, other: party(f, ours, now=LONG_AGO),
            lambda f, ours, other: party(f, ours),
            "its certificate has expired",
        ),
        (
            lambda f, ours, other: party(f, ours, now=SOON),
            lambda f, ours, other: party(f, ours),
            "its certificate is not valid yet",
        ),
        (
            lambda f, ours, other: party(f, ours),
            lambda f, ours, other: party(f, ours, now=LONG_AGO),
            "it hung up at once; it wants a certificate that it knows",
        ),
    ],
    ids=["plain client", "plain server", "server of another", "wrong name", "expired", "not yet", "expired client"],
)
async def test_anybody_else_gets_no_connection_and_is_told_why(
    tmp_path: Path,
    authority: Authority,
    server: Callable[[Path, Authority, Authority], Path | None],
    client: Callable[[Path, Authority, Authority], Path | None] | None,
    meaning: str,
) -> None:
    other = Authority.new()
    ours = server(tmp_path / "server", authority, other)
    theirs = client(tmp_path / "client", authority, other) if client else None
    async with serving(locked.keys(ours) if ours else NO_KEYS) as address:
        details = await ask(address, locked.keys(theirs) if theirs else NO_KEYS)
    assert meaning in why_no_connection(details), details


async def test_a_client_of_another_authority_gets_no_connection(tmp_path: Path, authority: Authority) -> None:
    """It believes our authority, and shows the certificate of another."""
    intruder = party(tmp_path / "client", Authority.new())
    write(intruder / "authority.pem", authority.pem().certificate)
    async with serving(locked.keys(party(tmp_path / "server", authority))) as address:
        assert "it hung up at once" in why_no_connection(await ask(address, locked.keys(intruder)))


def test_ours_that_has_ended_is_told_by_us(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """The other side hangs up, and cannot say why."""
    locked.keys(party(tmp_path / "good", authority))
    assert "ended on" not in caplog.text
    locked.keys(party(tmp_path / "old", authority, now=LONG_AGO))
    day = f"{LONG_AGO + timedelta(days=1):%Y-%m-%d}"
    assert f"{tmp_path / 'old' / 'certificate.pem'} or its authority ended on {day}" in caplog.text


def test_what_is_no_matter_of_tls_is_left_to_others() -> None:
    assert why_no_connection("failed to connect to all addresses; last error: Connection refused") == ""
    assert why_no_connection("Socket closed") == ""  # of a connection that stood


async def test_certificates_change_without_a_restart(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Server and client move to another authority while both live: calls that stand go on, new connections are new."""
    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    server, client, old = (tmp_path / name for name in ("server", "client", "old"))
    party(server, authority), party(client, authority)
    shutil.copytree(client, old)
    keys = locked.keys(client)
    async with serving(locked.keys(server)) as address:
        connection = grpc_kit.Connection(address, keys)
        held = connection.channel()
        watch = health_pb2_grpc.HealthStub(held).Watch(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert connection.channel() is held
        other = Authority.new()
        party(server, other), party(client, other)
        assert await ask(address, keys) == "SERVING"
        assert "security.tls" in why_no_connection(await ask(address, locked.keys(old)))
        fresh = connection.channel()
        assert fresh is not held
        answer = await health_pb2_grpc.HealthStub(fresh).Check(health_pb2.HealthCheckRequest(), timeout=10)  # type: ignore[attr-defined]
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert not watch.done()
        watch.cancel()
        await connection.close()
        await held.close()


async def test_a_half_written_pair_keeps_the_former_one(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    server, client = party(tmp_path / "server", authority), party(tmp_path / "client", authority)
    new = party(tmp_path / "new", authority)
    caplog.set_level(logging.INFO)
    async with serving(locked.keys(server)) as address:
        (new / "certificate.pem").replace(server / "certificate.pem")
        for _ in range(2):
            assert await ask(address, locked.keys(client)) == "SERVING"
        assert [record.levelname for record in caplog.records].count("ERROR") == 1
        (new / "key.pem").replace(server / "key.pem")
        assert await ask(address, locked.keys(client)) == "SERVING"
        assert "was changed and is read again" in caplog.text


@asynccontextmanager
async def far_away(address: str, seconds: float) -> AsyncIterator[str]:
    """The same server with a way of `seconds` to it, and another one back."""
    host, _, port = address.rpartition(":")
    ways, ends = set[asyncio.Task[None]](), list[asyncio.StreamWriter]()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            asyncio.get_running_loop().call_later(seconds, writer.write, data)

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_connection(host, int(port))
        ends.extend([writer, before])
        ways.update(asyncio.create_task(way) for way in (carry(reader, before), carry(behind, writer)))

    async with await asyncio.start_server(met, "127.0.0.1", 0) as proxy:
        yield f"127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        for way in ways:
            way.cancel()
        for end in ends:
            end.transport.abort()
        await asyncio.gather(*ways, *(end.wait_closed() for end in ends), return_exceptions=True)


async def test_a_handshake_has_time_on_a_slow_link(certs: Path) -> None:
    """Half a second there and back, at the first try: a link over a satellite, or a host that is busy."""
    async with serving(locked.keys(certs / "center")) as address, far_away(address, 0.25) as distant:
        assert await ask(distant, locked.keys(certs / "viewer")) == "SERVING"


@pytest.mark.parametrize("name", ["certificate.pem", "key.pem", "authority.pem"])
def test_a_file_that_is_missing_or_wrong_is_named(tmp_path: Path, authority: Authority, name: str) -> None:
    folder = party(tmp_path / "party", authority)
    section = SecuritySection.model_validate(locked.section(folder))
    (folder / name).write_text("-----BEGIN NONSENSE-----\n")
    with pytest.raises(UserError, match=str(folder / name)):
        Keyring(section)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{folder / name}: no such file or directory"):
        Keyring(section)


def test_a_key_behind_a_password_is_refused_and_nothing_is_asked(tmp_path: Path, authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization

    folder = party(tmp_path / "party", authority)
    key = serialization.load_pem_private_key((folder / "key.pem").read_bytes(), None)
    locked_key = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (folder / "key.pem").write_bytes(locked_key)
    with pytest.raises(UserError, match="are not PEM files of one pair"):
        read_pems(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")


def test_files_are_looked_at_once_a_second(tmp_path: Path, authority: Authority) -> None:
    folder, now = party(tmp_path / "party", authority), 100.0
    made = Certificates(TlsSection(**locked.section(folder)["tls"]), clock=lambda: now)
    first = made.pems()
    party(folder, authority)
    now = 100.9
    assert made.pems() is first
    now = 101.0
    assert made.pems() is not first


def test_nothing_shows_a_key(tmp_path: Path, authority: Authority) -> None:
    folder = party(tmp_path / "party", authority)
    pems = read_pems(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    assert "PRIVATE KEY" not in repr(pems)


async def test_the_health_check_goes_through_a_locked_door(
    certs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 20.0)  # of a busy machine
    folder = certs / "emulator"
    files = [str(folder / name) for name in ("certificate.pem", "key.pem", "authority.pem")]
    async with serving(locked.keys(certs / "emulator")) as address:
        assert await asyncio.to_thread(health.main, ["--tls", *files, address]) == 0
        assert await asyncio.to_thread(health.main, [address]) == 1
        assert await grpc_kit.healthy(address, 10.0, locked.keys(folder))
        assert not await grpc_kit.healthy(address, 10.0)
        assert await asyncio.to_thread(health.main, ["--tls", *files[:2], "/nowhere", address]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "SERVING"
    assert certificates.why_no_connection("") == ""
