import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import Headers

from center.output.broadcast import PairBroadcaster
from center.output.results import DecodedPair
from center.web.app import PAGE, Page
from center.web.guard import ASKED_BY_SCRIPT, Hosts, same_origin
from wire.runtime.errors import UserError

STATUS: dict[str, Any] = {"ready": True, "why": "", "codec": "small-joint", "codec_hash": "00ff", "engine": "fake"}


@pytest.fixture
def broadcaster() -> PairBroadcaster:
    return PairBroadcaster()


@pytest.fixture
def status() -> dict[str, Any]:
    return dict(STATUS)


@pytest.fixture
async def page(broadcaster: PairBroadcaster, status: dict[str, Any]) -> AsyncIterator[Page]:
    registry = CollectorRegistry()
    Counter("vergence_center_pairs", "Pairs.", registry=registry).inc(3)
    page = Page("127.0.0.1", 0, broadcaster, registry, "", lambda: status)
    await page.start()
    yield page
    await page.stop()


@pytest.fixture
async def client(page: Page) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{page.port}", headers={ASKED_BY_SCRIPT: "test"}) as client:
        yield client


async def test_the_page_and_its_files_are_served_with_strict_headers(client: httpx.AsyncClient) -> None:
    for path, kind in (("/", "text/html"), ("/static/page.js", "javascript"), ("/static/style.css", "text/css")):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    html = (PAGE / "index.html").read_text()
    assert "<style" not in html
    assert " style=" not in html
    assert " onclick=" not in html
    for path in PAGE.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name
        assert "innerHTML" not in text, path.name


def test_every_part_that_the_scripts_name_is_on_the_page() -> None:
    html = (PAGE / "index.html").read_text()
    for script, before in (("page.js", 'element("'), ("page.js", 'write("'), ("view_panel.js", 'parts["')):
        names = [piece.split('"')[0] for piece in (PAGE / script).read_text().split(before)[1:]]
        assert names
        missing = [name for name in names if f'"{name}"' not in html]
        assert missing == []


@pytest.mark.parametrize(
    "path", ["/static/../web.py", "/static/%2e%2e/web.py", "/static/..%2fweb.py", "/static//etc/passwd"]
)
async def test_nothing_outside_the_page_s_folder_is_served(client: httpx.AsyncClient, path: str) -> None:
    request = client.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())  # httpx would tidy the path
    answer = await client.send(request)
    assert answer.status_code == 404
    assert "error" in answer.json()


async def test_metrics_are_those_of_the_registry(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "vergence_center_pairs_total 3.0" in answer.text


async def test_health_follows_the_center(client: httpx.AsyncClient, status: dict[str, Any]) -> None:
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "why": ""})
    status.update(ready=False, why="loading the decoder")
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "why": "loading the decoder"})


async def test_status_is_plain_json_whatever_the_center_says(
    client: httpx.AsyncClient, status: dict[str, Any], broadcaster: PairBroadcaster
) -> None:
    status.update(delay=float("inf"), share=float("nan"), path=Path("x"), rates={"left": (1.0, 2)})
    broadcaster.publish(DecodedPair("lab", 1, 1, single=True, views=()))
    told = json.loads((await client.get("/api/status")).content, parse_constant=pytest.fail)
    assert told["codec_hash"] == "00ff"
    assert told["rigs"] == ["lab"]
    assert told["emulator"] is None
    assert told["symbols"] == 5120
    assert (told["delay"], told["share"], told["path"], told["rates"]) == (None, None, "x", {"left": [1.0, 2]})


async def test_errors_are_one_line_of_json(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert (answer.status_code, answer.json()) == (404, {"error": "GET /nothing: not found"})
    answer = await client.post("/api/status")
    assert (answer.status_code, answer.json()) == (405, {"error": "POST /api/status: method not allowed"})


async def test_another_site_may_change_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/links/lab/left/reset", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert "origin" in answer.json()["error"]


async def test_our_own_page_and_programs_are_let_in(client: httpx.AsyncClient) -> None:
    own = str(client.base_url).rstrip("/")
    for headers in ({}, {"Origin": own}, {"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}):
        answer = await client.post("/api/links/lab/left/reset", headers=headers)
        assert answer.status_code == 503  # let in, but there is no emulator


async def test_a_change_is_meant(page: Page) -> None:
    """A form, a picture or a script of another site can send no header of its own; not even where no Origin comes."""
    address = f"http://127.0.0.1:{page.port}"
    async with httpx.AsyncClient(base_url=address) as client:
        for headers, expected in (
            ({}, 403),
            ({"Origin": address}, 403),
            ({ASKED_BY_SCRIPT: ""}, 403),
            ({"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}, 403),
            ({"Authorization": "Basic YTpi"}, 403),
            ({ASKED_BY_SCRIPT: "curl"}, 503),  # let in, but there is no emulator
            ({"Authorization": "Bearer whatever"}, 503),
            ({ASKED_BY_SCRIPT: "curl", "Sec-Fetch-Site": "cross-site"}, 403),
            ({ASKED_BY_SCRIPT: "curl", "Sec-Fetch-Site": "same-site"}, 403),
        ):
            for method, path in (("POST", "/api/links/lab/left/reset"), ("PATCH", "/api/links/lab/left")):
                answer = await client.request(method, path, headers=headers, content='{"snr_db": 1}')
                assert answer.status_code == expected, headers
                assert "error" in answer.json()
        refused = await client.post("/api/links/lab/left/reset")
    assert "curl -H 'X-Requested-With: curl'" in refused.json()["error"]


def test_a_page_of_plain_http_is_of_another_origin_than_one_of_https() -> None:
    headers = Headers({"host": "vergence.example", "origin": "http://vergence.example"})
    assert same_origin(headers, "http")
    assert not same_origin(headers, "https")
    assert not same_origin(headers, "wss")
    assert same_origin(Headers({"host": "vergence.example", "origin": "https://vergence.example"}), "http"), "a proxy"


@pytest.mark.parametrize(
    ("listening", "allowed", "refused"),
    [
        (
            "127.0.0.1",
            ["localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]:8080", "a.example:8080"],
            ["10.0.0.7:8080"],
        ),
        ("0.0.0.0", ["localhost:8080", "10.0.0.7:8080", "[fe80::1]:8080", "a.example."], ["center:8080"]),
        ("::", ["10.0.0.7"], ["b.example"]),
        ("10.0.0.7", ["10.0.0.7:8080", "localhost"], ["10.0.0.8:8080"]),
    ],
)
def test_hosts_are_loopback_and_what_is_listed(listening: str, allowed: list[str], refused: list[str]) -> None:
    hosts = Hosts(listening, ["A.example"])
    assert [host for host in allowed if not hosts.allow(host)] == []
    assert [
        host for host in (*refused, "", ":8080", "evil.example", "[", "127.0.0.1.evil.example") if hosts.allow(host)
    ] == []


async def test_a_name_that_was_led_to_us_is_refused_whatever_its_origin(client: httpx.AsyncClient) -> None:
    evil = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080", "Sec-Fetch-Site": "same-origin"}
    for method, path in (("GET", "/"), ("GET", "/api/status"), ("POST", "/api/links/lab/left/reset")):
        answer = await client.request(method, path, headers=evil)
        assert answer.status_code == 421
        assert "'evil.example:8080' is not a name of this page; add it" in answer.json()["error"]
        assert "page.hosts" in answer.json()["error"]


async def test_prometheus_and_probes_may_use_any_name(client: httpx.AsyncClient) -> None:
    for path in ("/metrics", "/healthz"):
        assert (await client.get(path, headers={"Host": "center:8080"})).status_code == 200


async def test_a_taken_port_is_a_problem_that_says_what_to_do(broadcaster: PairBroadcaster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        page = Page("127.0.0.1", port, broadcaster, CollectorRegistry(), "", lambda: STATUS)
        with pytest.raises(
            UserError, match=f"cannot serve the page on 127.0.0.1:{port}: address already in use; stop what"
        ):
            await page.start()
        await page.stop()


async def test_a_host_that_is_not_ours_is_a_problem(broadcaster: PairBroadcaster) -> None:
    page = Page("192.0.2.1", 0, broadcaster, CollectorRegistry(), "", lambda: STATUS)
    with pytest.raises(UserError, match=r"cannot serve the page on 192\.0\.2\.1:0: it is no address of this host"):
        await page.start()


async def test_a_port_is_free_again_after_the_stop(broadcaster: PairBroadcaster) -> None:
    first = Page("127.0.0.1", 0, broadcaster, CollectorRegistry(), "", lambda: STATUS)
    await first.start()
    await first.stop()
    second = Page("127.0.0.1", first.port, broadcaster, CollectorRegistry(), "", lambda: STATUS)
    await second.start()
    await second.stop()
