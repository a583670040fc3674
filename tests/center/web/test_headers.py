"""The page behind somebody's proxy, under a prefix, and what every route says to browsers."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from center.output.broadcast import PairBroadcaster
from center.web.app import PAGE, Page
from center.web.guard import HEADERS


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    page = Page("127.0.0.1", 0, PairBroadcaster(), CollectorRegistry(), "", dict)
    await page.start()
    yield page
    await page.stop()


def test_no_address_in_the_page_is_absolute() -> None:
    """So a proxy may put all of it under a prefix: `/cameras/` -> `/`."""
    for file in PAGE.iterdir():
        if file.suffix in {".html", ".js", ".css"}:
            text = re.sub(r"//.*|<!--.*?-->", "", file.read_text(encoding="utf-8"))
            assert not re.search(r"""[\"'`(]/(?:static|api|ws)\b""", text), file


async def test_every_route_has_the_headers(page: Page) -> None:
    app: Any = page.app.app
    paths = [route.path.replace("{rig:path}/{view}", "lab/left") for route in app.routes if isinstance(route, Route)]
    assert len(paths) >= 7
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", trust_env=False) as client:
        for path in [*paths, "/static/page.js", "/static/none", "/nowhere"]:
            answer = await client.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, path
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "default-src" in policy


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
