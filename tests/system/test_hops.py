"""From hop to hop behind locked doors: whose name travels, who holds whom to it, and what is said to a stranger."""

import asyncio
import contextlib
import gc
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode, aio

from center.config import CenterConfig
from center.service import Center
from channel_emulator.config import EmulatorConfig
from channel_emulator.emulator import Emulator
from deploy.bench.loopback import Edge, picture
from deploy.local.process import ServiceProcess, stop_all
from deploy.local.stack import CONFIG, Ports
from edge.config import EdgeConfig
from edge.encode.references import References
from edge.metrics import Metrics
from tests import locked
from tests.system.conftest import GreyEngine, House
from tests.waiting import eventually
from wire.runtime import grpc_kit
from wire.v1.pair_service_pb2 import WatchPairsRequest
from wire.v1.pair_service_pb2_grpc import PairServiceStub
from wire.views import View


async def refusal(edge: Edge) -> tuple[StatusCode, str]:
    try:
        await edge.hello()
    except aio.AioRpcError as error:
        return error.code(), str(error.details())
    raise AssertionError("it was let in")


async def test_a_camera_streams_from_its_edge_through_the_emulator_to_the_center(house: House, certs: Path) -> None:
    async with Edge(house.addresses["emulator"], keys=locked.keys(certs / "demo-left")) as edge:
        await edge.hello()
        assert (await edge.frame(picture(1))).reason == ""
        assert [rig.name for rig in house.center.rigs] == ["demo"]


@pytest.mark.parametrize(("rig", "view"), [("demo", View.RIGHT), ("other", View.LEFT)])
@pytest.mark.parametrize("door", ["center", "emulator"])
async def test_a_camera_sends_as_itself_only(house: House, certs: Path, rig: str, view: View, door: str) -> None:
    async with Edge(house.addresses[door], view, rig, keys=locked.keys(certs / "demo-left")) as edge:
        assert await refusal(edge) == (
            StatusCode.PERMISSION_DENIED,
            f"the token of 'demo-left' is for demo/left; it may not send as {rig}/{view}",
        )
    assert list(house.center.rigs) == []
    assert [str(link) for link in house.emulator.links] == ["demo/left"], "no link is taken by it"


async def test_the_center_looks_for_itself_whom_the_emulator_lets_in(house: House, certs: Path) -> None:
    """An emulator without a book relays the camera's token, and vouches for nobody."""
    security = {**locked.section(certs / "emulator")}
    del security["tokens"]
    config = {"listen": "127.0.0.1:0", "upstream": house.addresses["center"], "security": security}
    careless = Emulator(EmulatorConfig.model_validate({**config, "drain_seconds": 0.3}))
    address = f"127.0.0.1:{await careless.start()}"
    try:
        async with Edge(address, View.RIGHT, keys=locked.keys(certs / "demo-left")) as edge:
            code, line = await refusal(edge)
            assert code is StatusCode.PERMISSION_DENIED
            assert "is for demo/left; it may not send as demo/right" in line
        async with Edge(address, keys=locked.keys(certs / "emulator")) as edge:  # no token
            assert await refusal(edge) == (
                StatusCode.UNAUTHENTICATED,
                "no token came; send one as 'authorization: Bearer TOKEN'",
            )
        async with Edge(address, keys=locked.keys(certs / "demo-left")) as edge:
            await edge.hello()
    finally:
        await careless.stop()


async def test_an_emulator_that_the_center_does_not_know_says_so_to_the_edge(
    house: House, certs: Path, tmp_path: Path
) -> None:
    from deploy.local.certs import make

    make(tmp_path / "others")
    stranger = locked.section(tmp_path / "others" / "emulator")
    config = {"listen": "127.0.0.1:0", "upstream": house.addresses["center"], "security": stranger}
    emulator = Emulator(EmulatorConfig.model_validate({**config, "drain_seconds": 0.3}))
    address = f"127.0.0.1:{await emulator.start()}"
    try:
        async with Edge(address, keys=locked.keys(tmp_path / "others" / "demo-left")) as edge:
            code, line = await refusal(edge)
        assert code is StatusCode.UNAVAILABLE
        assert line.startswith(
            f"the center at {house.addresses['center']} cannot be reached: its certificate is not of"
        )
    finally:
        await emulator.stop()


async def test_references_are_held_to_the_same_name(
    house: House, certs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    section = {"every": 1, "address": house.addresses["center"]}
    config = EdgeConfig.model_validate({"reference": section, "metrics": {"port": 0}})
    untouched = np.zeros((128, 256, 3), np.uint8)
    left, right = (
        References(config, 1, Metrics("demo", View.LEFT), locked.keys(certs / f"demo-{view}")) for view in View
    )
    counted = house.center.metrics.registry.get_sample_value
    async with Edge(house.addresses["emulator"], keys=locked.keys(certs / "demo-left")) as edge:
        await edge.hello()
        await edge.frame(picture(1))
        assert left.submit(1, untouched)
        await eventually(lambda: counted("vergence_center_references_total", {"outcome": "received"}) == 1)
        assert right.submit(2, untouched)  # it says left, with the right one's token
        await eventually(lambda: "is for demo/right; it may not send as demo/left" in caplog.text)
    assert counted("vergence_center_refused_total", {"reason": "rig"}) == 1
    await left.close()
    await right.close()


async def test_the_page_sets_links_in_the_center_s_name(house: House, certs: Path) -> None:
    config = {
        "listen": "127.0.0.1:0",
        "emulator": house.addresses["emulator"],
        "page": {"port": 0},
        "drain_s": 0.2,
        "security": locked.section(certs / "center"),
    }
    other = Center(CenterConfig.model_validate(config), GreyEngine())
    changed = await other.page._links.change("demo", View.LEFT, json.dumps({"snr_db": 3}).encode())
    assert changed["settings"]["snr_db"] == 3
    await other.page.stop()
    config["security"] = {**locked.section(certs / "center"), "token": str(certs / "viewer" / "token")}
    other = Center(CenterConfig.model_validate(config), GreyEngine())
    assert len(await other.page._links.list()) == 1
    with pytest.raises(Exception, match=r"refuses this center \(security.token\): 'viewer' has the role viewer"):
        await other.page._links.reset("demo", View.LEFT)
    await other.page.stop()


async def test_a_stream_outlives_a_change_of_certificates(
    certs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator takes another channel for new streams; those that stand keep theirs."""
    from deploy.local.certs import make

    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    folder = tmp_path / "certs"
    make(folder)
    config = {"listen": "127.0.0.1:0", "emulator": "", "page": {"port": 0}, "drain_s": 0.2}
    links = {"age_budget_ms": 0}  # to make certificates takes a busy machine a second
    center = Center(
        CenterConfig.model_validate({**config, "links": links, "security": locked.section(folder / "center")}),
        GreyEngine(),
    )
    await center.start()
    upstream = {"listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{center.port}", "drain_seconds": 0.3}
    emulator = Emulator(EmulatorConfig.model_validate({**upstream, "security": locked.section(folder / "emulator")}))
    address = f"127.0.0.1:{await emulator.start()}"
    try:
        async with Edge(address, keys=locked.keys(folder / "demo-left")) as left:
            await left.hello()
            await left.frame(picture(1))
            await asyncio.to_thread(make, folder, renew=True)  # a loop that stands still for a second drops what waits
            async with Edge(address, View.RIGHT, keys=locked.keys(folder / "demo-right")) as right:
                await right.hello()
                gc.collect()
                await asyncio.sleep(0.1)
                for sequence in (2, 3):
                    assert (await left.frame(picture(sequence))).reason == ""
                await asyncio.sleep(0.2)  # an instant of its own: the one before may be decoded by now, without it
                assert (await right.frame(picture(4))).reason == ""
    finally:
        await emulator.stop()
        await center.stop()


@contextlib.contextmanager
def changed(book: Path) -> Iterator[Callable[[], None]]:
    """Gives what takes the left camera's entry away and lets the viewer's expire; undone at the end."""
    before = book.read_text()
    kept = [line for line in before.splitlines() if "'demo-left'" not in line]
    after = [line.replace("}", ", expires: 2020-01-01}") if "'viewer'" in line else line for line in kept]
    yield lambda: (book.write_text("\n".join(after) + "\n"), None)[1]
    book.write_text(before)


async def end_of(ask: Callable[[], Awaitable[object]]) -> tuple[str, str]:
    """Ask until the stream ends, and how it does."""
    try:
        async with asyncio.timeout(20):
            while True:
                await ask()
    except aio.AioRpcError as error:
        return error.code().name, str(error.details())


async def test_a_token_that_is_withdrawn_or_expires_ends_the_streams_that_it_opened(
    house: House, certs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire.security.followed.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("wire.security.stay.RECHECK_SECONDS", 0.05)
    viewer = locked.keys(certs / "viewer")
    with changed(Path(house.emulator.config.security.tokens)) as change:
        async with (
            Edge(house.addresses["emulator"], keys=locked.keys(certs / "demo-left")) as left,
            Edge(house.addresses["emulator"], View.RIGHT, keys=locked.keys(certs / "demo-right")) as right,
            grpc_kit.connect(house.addresses["center"], viewer) as channel,
        ):
            await left.hello()
            await right.hello()
            watch: Any = PairServiceStub(channel).WatchPairs(WatchPairsRequest(), metadata=viewer.metadata())
            waiting = asyncio.create_task(watch.read())
            await eventually(lambda: bool(house.center.broadcaster._watchers) or waiting.done())
            await asyncio.sleep(0.2)
            assert not waiting.done(), "as long as it counts it stays"
            change()
            code, line = await end_of(lambda: left.frame(picture(1)))
            assert code == "UNAUTHENTICATED"
            assert line.startswith("this token is not known here")
            assert await end_of(lambda: waiting) == (
                "UNAUTHENTICATED",
                "the token of 'viewer' has expired; make a new one",
            )
            assert (await right.frame(picture(1))).reason == ""


def test_whoever_knocks_writes_nothing_into_a_service_s_log(certs: Path, tmp_path: Path) -> None:
    """gRPC would tell every handshake that fails, past our log."""
    ports = Ports.free()
    security = {
        f"VERGENCE_EMULATOR__SECURITY__TLS__{key.upper()}": path
        for key, path in locked.section(certs / "emulator")["tls"].items()
    }
    process = ServiceProcess(
        "emulator",
        "emulator",
        CONFIG / "emulator.yaml",
        tmp_path / "log",
        {**ports.environment(), **security, "VERGENCE_EMULATOR__METRICS__PORT": "0"},
    )
    process.start()
    try:
        deadline = time.monotonic() + 30
        while "listening" not in process.log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        said = process.log.read_text()
        assert "listening" in said
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""):
            with socket.create_connection((ports.host, ports.emulator), timeout=5) as knock:
                knock.sendall(data)
                knock.shutdown(socket.SHUT_WR)
                with contextlib.suppress(OSError):
                    while knock.recv(4096):
                        pass
        assert process.log.read_text() == said
    finally:
        stop_all([process])
