"""What every answer says to browsers, and what no request can break."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from center.output.broadcast import PairBroadcaster
from center.web.app import Page
from center.web.guard import ASKED_BY_SCRIPT, FORM_POLICY, HEADERS


class Broken(Collector):
    """Makes /metrics fail."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        raise RuntimeError("on purpose")


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    registry = CollectorRegistry()
    registry.register(Broken())
    page = Page("127.0.0.1", 0, PairBroadcaster(), registry, "", dict)
    await page.start()
    yield page
    await page.stop()


async def test_every_answer_has_the_headers(page: Page) -> None:
    """Every route, by every method, and whatever is refused on the way; also a defect of ours."""
    app: Any = page.routes
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) >= 7
    asked = [(method, route.path) for route in routes for method in ("GET", "HEAD", "POST", "PATCH", "DELETE")]
    asked += [("GET", "/static/page.js"), ("GET", "/static/none"), ("GET", "/nowhere"), ("GET", "/ws")]
    seen = set()
    address, script = f"http://127.0.0.1:{page.port}", {ASKED_BY_SCRIPT: "test"}
    async with httpx.AsyncClient(base_url=address, headers=script, trust_env=False) as client:
        requests = [
            client.build_request(method, path.replace("{rig:path}/{view}", "lab/left")) for method, path in asked
        ]
        requests += [
            client.build_request("PATCH", "/api/links/lab/left", content=bytes(10_000)),
            client.build_request("GET", "/", headers={"Host": "evil.example"}),
            client.build_request("POST", "/api/links/lab/left/reset", headers={"Origin": "https://evil.example"}),
        ]
        for request in requests:
            answer = await client.send(request)
            seen.add(answer.status_code)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, request
            assert answer.headers["Cache-Control"] == ("no-cache" if "/static/" in str(request.url) else "no-store")
            assert "Strict-Transport-Security" not in answer.headers, "not over plain HTTP"
    assert seen == {200, 303, 400, 403, 404, 405, 413, 421, 500, 503}


async def raw(page: Page, request: bytes) -> httpx.Headers:
    """The headers of whatever answers to bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
    writer.write(request)
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    lines = [line.partition(": ") for line in head.splitlines()[1:] if line]
    return httpx.Headers([(name, value) for name, _, value in lines])


@pytest.mark.parametrize("request_line", ["junk", "GET / HTTP/1.1\r\nno header", "GET /" + "a" * 20_000 + " HTTP/1.1"])
async def test_so_has_what_is_written_without_an_application(page: Page, request_line: str) -> None:
    headers = await raw(page, request_line.encode() + b"\r\n\r\n")
    assert {name: headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    ("host", "path", "origin", "status"),
    [
        ("127.0.0.1", "/ws", "https://evil.example", 403),
        ("evil.example", "/ws", None, 421),
        ("127.0.0.1", "/nowhere", None, 404),
    ],
)
async def test_so_has_a_websocket_that_is_refused(
    page: Page, host: str, path: str, origin: Origin | None, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{host}:{page.port}{path}", host="127.0.0.1", origin=origin)
    answer = refused.value.response
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert status == 404 or b"error" in answer.body


def test_a_form_has_a_policy_of_its_own_that_lets_no_script_run() -> None:
    assert "script-src" not in FORM_POLICY
    assert FORM_POLICY.startswith("default-src 'none'")
    assert "form-action 'self'" in FORM_POLICY
    assert "frame-ancestors 'none'" in FORM_POLICY


def test_the_policy_lets_no_script_or_style_stand_in_the_page() -> None:
    policy = dict(each.strip().partition(" ")[::2] for each in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not {"unsafe-inline", "unsafe-eval", "*"} & set(HEADERS["Content-Security-Policy"].split())
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["X-Frame-Options"] == "DENY"
    assert HEADERS["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "https://elsewhere.example"])
async def test_a_strange_origin_is_refused_and_breaks_nothing(page: Page, origin: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client:
        answer = await client.patch(
            "/api/links/lab/left", headers={"Origin": origin, ASKED_BY_SCRIPT: "test"}, json={"snr_db": 1}
        )
    assert answer.status_code == 403


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "-1e999"])
async def test_what_is_no_number_of_json_is_refused(page: Page, number: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client:
        headers = {ASKED_BY_SCRIPT: "test"}
        answer = await client.patch("/api/links/lab/left", headers=headers, content=f'{{"snr_db": {number}}}')
    assert answer.status_code == 400
    assert "noiseless" in answer.json()["error"] or "JSON" in answer.json()["error"]
