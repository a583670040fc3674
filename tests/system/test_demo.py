"""The whole system as a user runs it: real processes, real ports (free ones), loopback only."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.bench.faults.strike import LIMIT_SECONDS, How, strike
from deploy.bench.watch import PairWatcher
from deploy.local import cli
from deploy.local.stack import CONFIG, Ports, Stack, running
from wire.runtime.errors import UserError
from wire.views import View

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(Ports.free(), print, {"VERGENCE_EDGE__REFERENCE__EVERY": "1"}) as started:
        yield started


@pytest.fixture
def watcher(stack: Stack) -> Iterator[PairWatcher]:
    watching = PairWatcher(f"{stack.ports.host}:{stack.ports.center}")
    yield watching
    watching.close()


def get(stack: Stack, path: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(
        stack.ports.page_url + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"X-Requested-With": "test"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def sightings(watcher: PairWatcher, count: int, seconds: float = 20.0) -> list[Any]:
    """At least `count` pairs with both views measured."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        seen = [s for s in watcher.since(began) if s.paired and len(s.psnr_db) == 2]
        if len(seen) >= count:
            return seen
        time.sleep(0.05)
    pytest.fail(f"only {len(watcher.since(began))} pairs in {seconds} s")


def mean_psnr(watcher: PairWatcher, view: View) -> float:
    seen = sightings(watcher, 21)
    return float(sum(s.psnr_db[view] for s in seen) / len(seen))


def test_both_views_come_as_pairs_and_are_measured(watcher: PairWatcher) -> None:
    for sighting in sightings(watcher, 10):
        assert all(15.0 < decibels < 45.0 for decibels in sighting.psnr_db.values())


def test_the_page_the_status_and_the_metrics_answer(stack: Stack) -> None:
    with urllib.request.urlopen(stack.ports.page_url, timeout=5) as page:
        assert b"<title>" in page.read()
    assert get(stack, "/api/status")["ready"] is True
    assert stack.pairs_seen() > 0


def test_a_worse_link_is_seen_at_once_and_undone_by_a_reset(stack: Stack, watcher: PairWatcher) -> None:
    get(stack, "/api/links/demo/left", "PATCH", {"snr_db": 12})
    time.sleep(1)
    before = mean_psnr(watcher, View.LEFT)
    get(stack, "/api/links/demo/left", "PATCH", {"snr_db": -2})
    time.sleep(1)
    assert mean_psnr(watcher, View.LEFT) < before - 1.0
    get(stack, "/api/links/demo/left/reset", "POST", {})


@pytest.mark.parametrize("name", ["edge-left", "emulator", "center"])
def test_a_killed_process_comes_back_and_takes_nobody_with_it(stack: Stack, watcher: PairWatcher, name: str) -> None:
    done = strike(stack, watcher, name, How.KILL, 0.5, ("demo",), fps=10.0)
    assert done.back < 3 * LIMIT_SECONDS  # within LIMIT_SECONDS where the machine has nothing else to do
    assert done.died == 0
    if name == "edge-left":
        assert done.singles > 0


def test_a_second_left_camera_is_refused_with_a_line_and_disturbs_nobody(stack: Stack, watcher: PairWatcher) -> None:
    environment = {**os.environ, **stack.process("edge-left").environment, "VERGENCE_EDGE__METRICS__PORT": "0"}
    command = [sys.executable, "-m", "edge", "run", "--config", str(CONFIG / "edge.yaml")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as second:
        time.sleep(4)
        second.send_signal(signal.SIGTERM)
        _, said = second.communicate(timeout=10)
    assert "has a camera already" in said
    assert len(sightings(watcher, 5)) >= 5


def test_a_taken_port_is_named_before_anything_starts() -> None:
    ports = Ports.free()
    with socket.create_server((ports.host, ports.page)), pytest.raises(UserError, match=f"port {ports.page} .page. is"):
        Stack(ports, ROOT / "runs").start(print)


@pytest.mark.parametrize("further", [[], ["--secure"]], ids=["open", "secure"])
def test_a_demo_that_started_nothing_names_no_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], further: list[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(Ports, "free", staticmethod(lambda: Ports(page=port, center=port)))
        assert cli.main(["demo", "--free-ports", *further]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"vergence: error: port {port} (center) is taken on 127.0.0.1; is another demo running? Stop it, or run with"
        " --free-ports"
    ]
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_leaves_nothing_running_and_no_keys(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.local.cli", "demo", "--free-ports", "--secure"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        opened = next(line for line in started.stdout if "open http://" in line)
        started.send_signal(signal.SIGINT)
        rest, _ = started.communicate(timeout=20)
    assert started.returncode == 0
    assert "nothing is left running" in rest
    left = {path.name for path in tmp_path.rglob("vergence-demo-*/**/*")}
    assert "center.log" in left
    assert not {"certs", "key.pem", "token"} & left
    port = int(opened.split(" and ")[0].rpartition(":")[2])
    socket.create_server(("127.0.0.1", port)).close()


SERVICES = {"edge": "edge", "emulator": "channel_emulator", "center": "center"}


@pytest.mark.parametrize("name", SERVICES)
def test_the_shipped_configurations_are_right(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", SERVICES[name], "check-config", "--config", str(CONFIG / f"{name}.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ok\n")
