"""What every answer says to browsers, and what no request can break."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from starlette.routing import Route

from center.output.broadcast import PairBroadcaster
from center.web.app import Page
from center.web.guard import HEADERS


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
    app: Any = page.app.app
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) >= 7
    asked = [(method, route.path) for route in routes for method in ("GET", "HEAD", "POST", "PATCH", "DELETE")]
    asked += [("GET", "/static/page.js"), ("GET", "/static/none"), ("GET", "/nowhere"), ("GET", "/ws")]
    seen = set()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client:
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
    assert seen == {200, 400, 403, 404, 405, 413, 421, 500, 503}


def test_the_policy_lets_no_script_or_style_stand_in_the_page() -> None:
    policy = dict(each.strip().partition(" ")[::2] for each in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert not {"unsafe-inline", "unsafe-eval", "*"} & set(HEADERS["Content-Security-Policy"].split())
    assert HEADERS["X-Content-Type-Options"] == "nosniff"
    assert HEADERS["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "https://elsewhere.example"])
async def test_a_strange_origin_is_refused_and_breaks_nothing(page: Page, origin: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client:
        answer = await client.patch("/api/links/lab/left", headers={"Origin": origin}, json={"snr_db": 1})
    assert answer.status_code == 403


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e999", "-1e999"])
async def test_what_is_no_number_of_json_is_refused(page: Page, number: str) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client:
        answer = await client.patch("/api/links/lab/left", content=f'{{"snr_db": {number}}}')
    assert answer.status_code == 400
    assert "noiseless" in answer.json()["error"] or "JSON" in answer.json()["error"]
