"""The door alone: how a token is presented, what is refused when nobody has thought of it, and what is told."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from tests import locked
from wire.runtime import grpc_kit
from wire.security import methods
from wire.security.caller import CALLER
from wire.security.keyring import NO_KEYS
from wire.security.tokens import Denial, Role
from wire.v1 import channel_control_service_pb2 as pb
from wire.v1.channel_control_service_pb2_grpc import (
    ChannelControlServiceServicer,
    ChannelControlServiceStub,
    add_ChannelControlServiceServicer_to_server,
)


class Control(ChannelControlServiceServicer):
    """Remembers who called."""

    def __init__(self) -> None:
        self.callers: list[str] = []

    async def ListLinks(self, request: pb.ListLinksRequest, context: Any) -> pb.ListLinksResponse:  # noqa: N802
        who = CALLER.get().principal
        self.callers.append(who.name if who else "everybody")
        return pb.ListLinksResponse()


class Bench:
    """A server behind a door without TLS, and its client."""

    def __init__(self, folder: Path | None) -> None:
        self.control, self.refused = Control(), list[Denial]()  # type: ignore[abstract]
        keys = locked.keys(folder, tls=False) if folder else NO_KEYS
        self.server = grpc_kit.Server("127.0.0.1:0", keys, self.refused.append)
        add_ChannelControlServiceServicer_to_server(self.control, self.server.grpc)

    async def ask(self, *metadata: tuple[str, str | bytes]) -> str:
        try:
            await ChannelControlServiceStub(self.channel).ListLinks(
                pb.ListLinksRequest(), metadata=aio.Metadata(*metadata), timeout=10
            )
        except aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        return "OK"

    async def start(self) -> None:
        self.channel = grpc_kit.connect(f"127.0.0.1:{await self.server.start([])}")

    async def stop(self) -> None:
        await self.channel.close()
        await self.server.stop(0)


@pytest.fixture
async def bench(certs: Path) -> AsyncIterator[Bench]:
    made = Bench(certs / "emulator")
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def token(certs: Path) -> str:
    return (certs / "viewer" / "token").read_text().strip()


async def test_a_token_is_presented_as_a_bearer_s(bench: Bench, token: str) -> None:
    for header in (f"Bearer {token}", f"bearer {token}", f"BEARER  {token}"):
        assert await bench.ask(("authorization", header)) == "OK"
    assert bench.control.callers == ["viewer"] * 3
    assert bench.refused == []


async def test_anything_else_is_no_token(bench: Bench, token: str) -> None:
    for metadata in (
        [],
        [("authorization", token)],
        [("authorization", f"Basic {token}")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("x-authorization", f"Bearer {token}")],
        [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")],
        [("authorization-bin", f"Bearer {token}".encode())],
    ):
        assert await bench.ask(*metadata) == (
            "UNAUTHENTICATED: no token came; send one as 'authorization: Bearer TOKEN'"
        ), metadata
    assert await bench.ask(("authorization", f"Bearer {token}x")) == (
        "UNAUTHENTICATED: this token is not known here; use one of this service's token book"
    )
    assert bench.refused == [Denial.MISSING] * 8 + [Denial.UNKNOWN]
    assert bench.control.callers == []


async def test_a_method_that_nobody_thought_of_is_for_nobody(
    bench: Bench, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "/vergence.v1.ChannelControlService/ListLinks"
    monkeypatch.setattr(methods, "ROLES", {key: roles for key, roles in methods.ROLES.items() if key != name})
    assert await bench.ask(("authorization", f"Bearer {token}")) == (
        "PERMISSION_DENIED: 'viewer' has the role viewer; ListLinks is for nobody"
    )


async def test_without_a_book_everybody_may(token: str) -> None:
    bench = Bench(None)
    await bench.start()
    assert await bench.ask() == "OK"
    assert await bench.ask(("authorization", f"Bearer {token}")) == "OK"
    assert bench.control.callers == ["everybody"] * 2
    await bench.stop()


async def test_a_method_that_is_not_there_stays_so(bench: Bench) -> None:
    for name in ("/vergence.v1.PairService/WatchPairs", "/none/none", *methods.UNSERVED):
        with pytest.raises(aio.AioRpcError) as ended:
            await bench.channel.unary_unary(name)(b"")  # type: ignore[arg-type]
        assert ended.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_whoever_knocks_does_not_fill_the_log(bench: Bench, token: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            await bench.ask()
            await bench.ask(("authorization", "Bearer vgt_guess"))
    assert [record.message for record in caplog.records] == [
        "a call is refused (missing): no token came; send one as 'authorization: Bearer TOKEN'",
        "a call is refused (unknown): this token is not known here; use one of this service's token book",
    ]
    assert len(bench.refused) == 40
    assert "vgt_guess" not in caplog.text


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("demo-left", "PERMISSION_DENIED: 'demo-left' has the role camera; ListLinks is for operator or viewer"),
        ("metrics", "PERMISSION_DENIED: 'metrics' has the role metrics; ListLinks is for operator or viewer"),
        ("operator", "OK"),
        ("center", "OK"),
    ],
)
async def test_a_role_may_do_its_own_only(bench: Bench, certs: Path, folder: str, said: str) -> None:
    keys = locked.keys(certs / folder, tls=False)
    assert await bench.ask(*keys.metadata()) == said


def test_every_role_may_do_something() -> None:
    assert frozenset().union(*methods.ROLES.values()) == frozenset(Role)


async def test_a_token_that_is_changed_in_its_file_is_presented_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    (tmp_path / "token").write_text("vgt_first\n")
    keys = locked.keys(tmp_path, tls=False)
    assert keys.metadata(("x-rig-id", "demo")) == (("authorization", "Bearer vgt_first"), ("x-rig-id", "demo"))
    (tmp_path / "token").write_text("vgt_second\n")
    assert keys.metadata() == (("authorization", "Bearer vgt_second"),)
    assert NO_KEYS.metadata(("x-rig-id", "demo")) == (("x-rig-id", "demo"),)
