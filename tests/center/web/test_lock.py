"""Who is let in at the page: every route by every role, over a real server."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from center.output.broadcast import PairBroadcaster
from center.web.app import Page
from center.web.roles import DOORS, EVERYBODY, Door
from wire.security.keyring import Keyring
from wire.security.section import SecuritySection
from wire.security.tokens import Denial, Role, digest, new_token

SCRIPT = {"X-Requested-With": "test"}
BOUND = 20.0
"""Seconds that something may take which takes two at most on a machine that is not busy."""
ASKERS = [*Role, "nobody", "unknown", "expired"]


class House:
    """A page with a book of one token of each role, and one that has expired."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tokens.yaml"
        self.tokens = {role.value: new_token() for role in Role}
        self.tokens |= {"expired": new_token(), "unknown": new_token()}
        self.write(*Role, "expired")
        self.refused: list[Denial] = []
        self.page = Page(
            "127.0.0.1",
            0,
            PairBroadcaster(),
            CollectorRegistry(),
            "",
            lambda: {"ready": True},
            keys=Keyring(SecuritySection(tokens=str(self.file))),
            refused=self.refused.append,
        )

    def write(self, *names: str) -> None:
        """The book, with these entries only."""
        lines = ["tokens:"]
        for name in names:
            role = name if name in list(Role) else Role.VIEWER.value
            more = ", rig: lab" if role == Role.CAMERA else ""
            more += f", expires: '{datetime.fromtimestamp(1e9, UTC).isoformat()}'" if name == "expired" else ""
            lines.append(f"  - {{name: {name}, role: {role}, sha256: {digest(self.tokens[name]).hex()}{more}}}")
        self.file.write_text("\n".join(lines) + ("\n" if names else " []\n"))

    def client(self, token: str = "") -> httpx.AsyncClient:
        headers = SCRIPT | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=BOUND)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.page.port}"

    async def log_in(self, client: httpx.AsyncClient, name: str) -> httpx.Response:
        return await client.post("/login", data={"token": self.tokens.get(name, name)}, headers={"Origin": self.url})


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    await house.page.start()
    yield house
    await house.page.stop()


def test_every_route_has_a_door_and_every_door_a_route() -> None:
    page = Page("127.0.0.1", 0, PairBroadcaster(), CollectorRegistry(), "", dict)
    declared = set()
    for route in page.routes.routes:
        assert isinstance(route, Route | WebSocketRoute | Mount)
        methods = {"WS"} if isinstance(route, WebSocketRoute) else {"GET"}
        if isinstance(route, Route):
            methods = (route.methods or set()) - {"HEAD"}
        declared |= {(method, route.path) for method in methods}
    assert declared == {(door.method, door.path) for door in DOORS}
    assert len(DOORS) == len(declared)


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("door", [each for each in DOORS if each.method != "WS"], ids=lambda d: d.method + d.path)
async def test_a_route_is_for_its_roles_only(house: House, door: Door, asker: str) -> None:
    path = door.path.replace("{rig:path}/{view}", "lab/left").replace("/static", "/static/page.js")
    async with house.client(house.tokens.get(asker, "")) as client:
        headers = {"Origin": house.url} if path == "/login" else {}
        answer = await client.request(door.method, path, headers=headers)
    if door.roles is EVERYBODY:
        allowed_401 = door.method == "POST" and path == "/login"  # a form without a token
        assert answer.status_code in ((401,) if allowed_401 else (200, 303))
    elif asker in door.roles:
        assert answer.status_code in (200, 400, 404, 503), "let in: 400 lacks settings, 503 an emulator"
        assert not house.refused
    elif asker in list(Role):
        assert answer.status_code == 403
        assert house.refused == [Denial.ROLE]
    elif asker == "nobody" and path == "/":
        assert (answer.status_code, answer.headers["location"]) == (303, "login")
    else:
        assert answer.status_code == 401
        reasons = {"nobody": Denial.MISSING, "unknown": Denial.UNKNOWN, "expired": Denial.EXPIRED}
        assert house.refused == [reasons[asker]]


@pytest.mark.parametrize("asker", ASKERS)
async def test_pairs_are_for_those_who_may_watch(house: House, asker: str) -> None:
    token = house.tokens.get(asker)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    watching = connect(house.url.replace("http", "ws") + "/ws", additional_headers=headers, proxy=None)
    if asker in (Role.VIEWER, Role.OPERATOR):
        async with watching:
            return
    with pytest.raises(InvalidStatus) as refused:
        await watching
    assert refused.value.response.status_code == (403 if asker in list(Role) else 401)


async def test_a_login_gives_a_cookie_that_no_script_and_no_other_site_uses(house: House) -> None:
    async with house.client() as client:
        answer = await house.log_in(client, "viewer")
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        name, *flags = answer.headers["set-cookie"].split("; ")
        assert name.startswith(f"vergence-{house.page.port}=")
        assert set(flags) == {"Max-Age=43200", "HttpOnly", "SameSite=Strict"}, "no Path: it counts beside the form"
        assert house.tokens["viewer"] not in answer.headers["set-cookie"]
        who = (await client.get("/api/status")).json()["who"]
        assert who == {"name": "viewer", "role": "viewer", "may_set_links": False}
        assert (await client.post("/logout")).status_code == 200
        assert (await client.get("/api/status")).status_code == 401


async def test_a_cookie_given_by_https_is_sent_by_https_only(house: House) -> None:
    """Behind a proxy that ends TLS the browser's Origin tells."""
    origin = {"Origin": house.url.replace("http:", "https:")}
    async with house.client() as client:
        answer = await client.post("/login", data={"token": house.tokens["viewer"]}, headers=origin)
    assert answer.headers["set-cookie"].startswith("__Secure-vergence-")
    assert "; Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_no_other_site_logs_a_browser_in(house: House, headers: dict[str, str]) -> None:
    async with house.client() as client:
        del client.headers["X-Requested-With"]  # a form sends no header
        answer = await client.post("/login", data={"token": house.tokens["viewer"]}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_program_logs_in_by_the_header_that_the_refusal_names(house: House) -> None:
    """It sends no Origin: what a form without one is told has to be true."""
    async with house.client() as client:
        answer = await client.post("/login", data={"token": house.tokens["viewer"]})
        assert (answer.status_code, answer.headers["location"]) == (303, "./")
        assert (await client.get("/api/status")).status_code == 200


async def test_a_session_alone_changes_nothing_without_our_header(house: House) -> None:
    async with house.client() as client:
        await house.log_in(client, "operator")
        del client.headers["X-Requested-With"]
        assert (await client.patch("/api/links/lab/left", json={})).status_code == 403
        assert (await client.post("/logout")).status_code == 403
        assert (await client.get("/api/status")).json()["who"]["may_set_links"] is True


@pytest.mark.parametrize(
    ("name", "status"), [("unknown", 401), ("expired", 401), ("", 401), ("metrics", 403), ("camera", 403)]
)
async def test_a_token_that_does_not_count_opens_no_session(house: House, name: str, status: int) -> None:
    async with house.client() as client:
        answer = await house.log_in(client, name)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert len(house.refused) == 1


async def test_guesses_are_slowed_down_and_nobody_else_is(house: House) -> None:
    async with house.client() as inside, house.client() as outside:
        await house.log_in(inside, "viewer")
        answers = [await house.log_in(outside, "unknown") for _ in range(6)]
        assert [each.status_code for each in answers] == [401] * 5 + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 11
        assert (await inside.get("/api/status")).status_code == 200
        assert (await house.log_in(outside, "viewer")).status_code == 303, "who guesses locks out nobody of his address"


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_a_client_does_not_say_itself_where_it_comes_from(house: House, name: str) -> None:
    """Each guess would come from another address; and whoever proxies the page hands the header on."""
    async with house.client() as client:
        answers = []
        for number in range(7):
            client.headers[name] = f"10.0.0.{number}"
            answers.append((await house.log_in(client, "unknown")).status_code)
    assert answers == [401] * 5 + [429] * 2


async def test_a_client_does_not_say_itself_that_it_came_by_https(house: House) -> None:
    async with house.client() as client:
        client.headers["X-Forwarded-Proto"] = "https"
        answer = await house.log_in(client, "viewer")
    assert answer.status_code == 303
    assert answer.headers["set-cookie"].startswith("vergence-")


async def test_a_session_and_its_socket_end_when_the_token_leaves_the_book(house: House) -> None:
    async with house.client() as client:
        await house.log_in(client, "viewer")
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        watching = connect(house.url.replace("http", "ws") + "/ws", additional_headers={"Cookie": cookie}, proxy=None)
        async with watching as socket:
            house.write(Role.OPERATOR)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), BOUND)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "log in again")
        began = time.monotonic()
        while (await client.get("/api/status")).status_code != 401:
            assert time.monotonic() - began < BOUND
            await asyncio.sleep(0.05)
