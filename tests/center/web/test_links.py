from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry

from center.output.broadcast import PairBroadcaster
from center.web import links
from center.web.app import Page
from wire.runtime.grpc_kit import Server
from wire.v1 import channel_control_service_pb2 as pb
from wire.v1 import types_pb2
from wire.v1.channel_control_service_pb2_grpc import (
    ChannelControlServiceServicer,
    add_ChannelControlServiceServicer_to_server,
)

Context = grpc.aio.ServicerContext[Any, Any]


class Emulator(ChannelControlServiceServicer):
    """Keeps the requests; answers as the real one does."""

    def __init__(self) -> None:
        self.updates: list[pb.UpdateLinkRequest] = []
        self.resets: list[pb.ResetLinkRequest] = []
        settings = pb.LinkSettings(model=pb.CHANNEL_MODEL_AWGN, snr_db=7.0, outage=False, csi=pb.CSI_POLICY_PERFECT)
        self.link = pb.Link(
            rig="lab", view=types_pb2.VIEW_LEFT, settings=settings, current_snr_db=7.0, measured_snr_db=float("inf")
        )

    async def GetLink(self, request: pb.GetLinkRequest, context: Context) -> pb.GetLinkResponse:  # noqa: N802
        raise NotImplementedError

    async def WatchLinks(  # noqa: N802
        self, request: pb.WatchLinksRequest, context: Context
    ) -> AsyncIterator[pb.WatchLinksResponse]:
        raise NotImplementedError
        yield

    async def ListLinks(self, request: pb.ListLinksRequest, context: Context) -> pb.ListLinksResponse:  # noqa: N802
        return pb.ListLinksResponse(links=[self.link])

    async def UpdateLink(self, request: pb.UpdateLinkRequest, context: Context) -> pb.UpdateLinkResponse:  # noqa: N802
        self.updates.append(request)
        if request.rig not in {"lab", "house/lab"}:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"rig '{request.rig}' is unknown; known: lab")
        if request.settings.loss > 1:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "loss is 2; give 0 to 1")
        self.link.settings.MergeFrom(request.settings)
        return pb.UpdateLinkResponse(link=self.link)

    async def ResetLink(self, request: pb.ResetLinkRequest, context: Context) -> pb.ResetLinkResponse:  # noqa: N802
        self.resets.append(request)
        return pb.ResetLinkResponse(link=self.link)


@pytest.fixture
async def emulator() -> AsyncIterator[tuple[Emulator, str]]:
    servicer, server = Emulator(), Server("127.0.0.1:0")
    add_ChannelControlServiceServicer_to_server(servicer, server.grpc)
    port = await server.start(["vergence.v1.ChannelControlService"])
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
async def client(emulator: tuple[Emulator, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with browser(emulator[1]) as client:
        yield client


class browser:  # noqa: N801 reads as a verb in `async with browser(address)`
    """A client of a page whose emulator is at `address`."""

    def __init__(self, address: str) -> None:
        self.page = Page("127.0.0.1", 0, PairBroadcaster(), CollectorRegistry(), address, dict)

    async def __aenter__(self) -> httpx.AsyncClient:
        await self.page.start()
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.page.port}", headers={"X-Requested-With": "test"}
        )
        return self.client

    async def __aexit__(self, *reason: object) -> None:
        await self.client.aclose()
        await self.page.stop()


async def test_links_are_listed_with_short_names_and_no_infinities(client: httpx.AsyncClient) -> None:
    [link] = (await client.get("/api/links")).json()["links"]
    assert (link["rig"], link["view"], link["current_snr_db"]) == ("lab", "left", 7.0)
    assert link["measured_snr_db"] == "noiseless"
    assert link["settings"] == {"model": "awgn", "snr_db": 7.0, "outage": False, "csi": "perfect"}


LINK = pb.Link(rig="lab", view=types_pb2.VIEW_LEFT)
NO_MODEL = pb.Link.FromString(LINK.SerializeToString() + b"\x1a\x02\x08\x63")  # its settings say model 99


@pytest.mark.parametrize(
    ("links_", "line"),
    [
        ([LINK] * 2_000, "names 2000 links; 1024 are the most"),
        ([LINK] * 60_000, "larger than max"),
        ([pb.Link(rig="lab")], "names a link that is none: view 0 is unknown"),
        ([NO_MODEL], "names a link that is none: model 99 is unknown"),
    ],
)
async def test_what_another_emulator_says_costs_little_and_is_one_line(links_: list[pb.Link], line: str) -> None:
    """A million links, which a message of 8 MB can hold, would be a standstill of every camera for each look."""

    class Other(Emulator):
        async def ListLinks(self, request: Any, context: Context) -> pb.ListLinksResponse:  # noqa: N802
            return pb.ListLinksResponse(links=links_)

    server = Server("127.0.0.1:0")
    add_ChannelControlServiceServicer_to_server(Other(), server.grpc)
    port = await server.start([])
    async with browser(f"127.0.0.1:{port}") as client:
        answer = await client.get("/api/links")
    await server.stop(0)
    assert answer.status_code == 502
    assert line in answer.json()["error"]


async def test_a_patch_changes_only_what_it_holds(client: httpx.AsyncClient, emulator: tuple[Emulator, str]) -> None:
    change = {"model": "rayleigh", "coherence": 5120, "snr_db": -2}
    answer = await client.patch("/api/links/lab/right", json=change)
    assert answer.status_code == 200
    assert answer.json()["link"]["settings"]["model"] == "rayleigh"
    [request] = emulator[0].updates
    assert (request.rig, request.view) == ("lab", types_pb2.VIEW_RIGHT)
    assert request.settings == pb.LinkSettings(model=pb.CHANNEL_MODEL_RAYLEIGH, coherence=5120, snr_db=-2.0)


async def test_false_and_zero_are_changes_too(client: httpx.AsyncClient, emulator: tuple[Emulator, str]) -> None:
    await client.patch("/api/links/lab/left", json={"outage": False, "loss": 0, "delay_ms": 0.0})
    settings = emulator[0].updates[0].settings
    assert [field.name for field, _ in settings.ListFields()] == ["outage", "loss", "delay_ms"]


async def test_noiseless_is_an_snr(client: httpx.AsyncClient, emulator: tuple[Emulator, str]) -> None:
    answer = await client.patch("/api/links/lab/left", json={"snr_db": "noiseless"})
    assert emulator[0].updates[0].settings.snr_db == float("inf")
    assert answer.json()["link"]["settings"]["snr_db"] == "noiseless"


async def test_a_rig_s_name_may_hold_a_slash(client: httpx.AsyncClient, emulator: tuple[Emulator, str]) -> None:
    assert (await client.patch("/api/links/house%2Flab/left", json={"snr_db": 1})).status_code == 200
    assert emulator[0].updates[0].rig == "house/lab"


async def test_a_reset_names_the_link(client: httpx.AsyncClient, emulator: tuple[Emulator, str]) -> None:
    answer = await client.post("/api/links/lab/left/reset")
    assert answer.json()["link"]["rig"] == "lab"
    assert emulator[0].resets == [pb.ResetLinkRequest(rig="lab", view=types_pb2.VIEW_LEFT)]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('{"snr": 7}', "snr: unknown setting; allowed: model, snr_db, coherence"),
        ('{"snr_db": "7"}', "snr_db: must be a valid number"),
        ('{"snr_db": NaN}', "snr_db: must be a number of dB or 'noiseless'"),
        ('{"delay_ms": Infinity}', "delay_ms: must be a finite number"),
        ('{"model": "laplace"}', "model: must be 'clean', 'awgn', 'rayleigh', 'rician' or 'jakes'"),
        (
            '{"outage": 1, "coherence": 0}',
            "coherence: must be greater than or equal to 1; outage: must be a valid boolean",
        ),
        ("{}", "nothing to change; give one or more of model, snr_db"),
        ("[7]", 'send a JSON object of settings, such as {"snr_db": 7}'),
        ("", 'send a JSON object of settings, such as {"snr_db": 7}'),
    ],
)
async def test_a_wrong_patch_is_answered_with_one_line(
    client: httpx.AsyncClient, emulator: tuple[Emulator, str], body: str, line: str
) -> None:
    answer = await client.patch("/api/links/lab/left", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(line)
    assert emulator[0].updates == []


async def test_what_the_emulator_refuses_keeps_its_words(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/api/links/lab/left", json={"loss": 2})
    assert (answer.status_code, answer.json()) == (400, {"error": "loss is 2; give 0 to 1"})
    answer = await client.patch("/api/links/barn/left", json={"loss": 0})
    assert (answer.status_code, answer.json()) == (404, {"error": "rig 'barn' is unknown; known: lab"})


async def test_a_view_that_does_not_exist_is_not_found(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/api/links/lab/middle", json={"loss": 0})
    assert (answer.status_code, answer.json()) == (404, {"error": "view 'middle' does not exist; use left or right"})


async def test_a_huge_patch_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.patch("/api/links/lab/left", content=b" " * 9000)
    assert answer.status_code == 413


async def test_an_emulator_that_is_away_is_503_and_comes_back_by_itself(
    emulator: tuple[Emulator, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_DEADLINE", 0.2)
    gone = Server("127.0.0.1:0")
    port = await gone.start([])
    await gone.stop(0)
    async with browser(f"127.0.0.1:{port}") as client:
        answer = await client.get("/api/links")
        assert answer.status_code == 503
        assert answer.json()["error"] == (
            f"the channel emulator at 127.0.0.1:{port} does not answer; start it: vergence-emulator run"
        )
        monkeypatch.setattr(links, "_DEADLINE", 5.0)
        back = Server(f"127.0.0.1:{port}")
        add_ChannelControlServiceServicer_to_server(emulator[0], back.grpc)
        await back.start([])
        assert (await client.get("/api/links")).status_code == 200
        await back.stop(0)


async def test_a_center_without_an_emulator_says_so() -> None:
    async with browser("") as client:
        answer = await client.get("/api/links")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("this center has no channel emulator")
