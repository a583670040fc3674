"""Behind a company's proxy: what the environment says about proxies changes no connection of ours."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from wire.runtime import grpc_kit, health

ROOT = Path(__file__).resolve().parents[3]
DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that nobody reaches, and no exception for this machine."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
        monkeypatch.setenv(name, DEAD)
        monkeypatch.setenv(name.upper(), DEAD)
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def page() -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"camera_up 1\n")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/metrics"
        server.shutdown()
        thread.join()


async def test_services_reach_one_another() -> None:
    server = grpc_kit.Server("127.0.0.1:0")
    address = f"127.0.0.1:{await server.start([])}"
    await server.ready()
    assert await grpc_kit.healthy(address, timeout=5)
    assert await asyncio.to_thread(health.main, [address]) == 0
    await server.stop(0)


def test_the_health_check_reads_an_edge_s_page(page: str) -> None:
    """In a process of its own: urllib looks for proxies once, when it makes what opens pages."""
    command = [sys.executable, "-m", "wire.runtime.health", page, "camera_up"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "camera_up [1.0]\n")


def test_nothing_of_ours_takes_the_environment_s_proxy() -> None:
    """Each library of ours that would by default is told not to."""
    told = {
        r"urlopen\(": "open_url of wire.runtime.direct",
        r"\b(?:in)?secure_channel\((?!.*(?:CLIENT_OPTIONS|CHANNEL_OPTION))": "CLIENT_OPTIONS or CHANNEL_OPTION",
        r"\bconnect\(f?\"wss?:(?!.*proxy=None)": "proxy=None",
    }
    for package in ("wire", "edge", "channel_emulator", "center", "jscc", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            if "wire/v1" in path.as_posix():
                continue
            for line in path.read_text(encoding="utf-8").splitlines():
                for pattern, instead in told.items():
                    assert not re.search(pattern, line), f"{path}: use {instead}: {line}"
