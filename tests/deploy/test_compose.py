"""`docker compose up` for real: built from this checkout, on free ports, without Grafana, removed afterwards."""

import asyncio
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from grpc import aio

from deploy.bench.watch import PairWatcher
from tests import locked
from wire.runtime import grpc_kit
from wire.v1.pair_service_pb2 import PAIRING_PAIRED, WatchPairsRequest
from wire.v1.pair_service_pb2_grpc import PairServiceStub

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = (ROOT / "deploy" / "prometheus" / "rules" / "alerts.yml").read_text(encoding="utf-8")
SERVICES: Final = ("edge-left", "edge-right", "channel-emulator", "center")
# An edge has two FFmpegs: PyAV's, which reads films and network cameras, and the one that OpenCV is linked with.
MEGABYTES: Final = {"vergence-edge": 580, "vergence-emulator": 300, "vergence-center": 600}
UP_SECONDS: Final = 60.0
"""Twice what a user is promised: the machine that tests may be busy."""
BACK_SECONDS: Final = 20.0

pytestmark = pytest.mark.timeout(360)


def succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


@dataclass(frozen=True)
class Stack:
    """A project of its own. up_seconds: from built images to healthy services."""

    environment: dict[str, str]
    up_seconds: float = 0.0
    project: str = "vergence-smoke"

    def compose(self, *arguments: str) -> str:
        command = ["docker", "compose", "--project-name", self.project, *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def get(self, port: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.environment[port]}{path}", timeout=5) as answer:
            return json.load(answer)


def prometheus() -> list[str]:
    """The service, where its image is on this machine."""
    images = dict(line.split("=", 1) for line in (ROOT / ".env").read_text().splitlines() if "_IMAGE=" in line)
    return ["prometheus"] if succeeds("docker", "image", "inspect", images["PROMETHEUS_IMAGE"]) else []


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if not succeeds("docker", "info"):
        pytest.skip("no container engine runs here; start one to test the images and `docker compose up`")
    if not succeeds("docker", "compose", "version"):
        pytest.skip("docker compose is not installed; install the plugin to test `docker compose up`")
    names = ("PAGE_PORT", "CENTER_PORT", "EMULATOR_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
    with ExitStack() as held:
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = {name: str(server.getsockname()[1]) for name, server in zip(names, taken, strict=True)}
    built = Stack({**ports, "VERGENCE_VERSION": "smoke", "COMPOSE_PROGRESS": "plain"})
    built.compose("build")
    try:
        began = time.monotonic()
        built.compose("up", "--detach", "--wait", "--wait-timeout", "120", *SERVICES, *prometheus())
        yield Stack(built.environment, time.monotonic() - began)
    finally:
        print(built.compose("logs", "--tail", "20"))  # pytest shows it where something failed
        built.compose("down", "--volumes", "--timeout", "5")


@pytest.fixture
def watcher(stack: Stack) -> Iterator[PairWatcher]:
    watching = PairWatcher(f"127.0.0.1:{stack.environment['CENTER_PORT']}")
    yield watching
    watching.close()


def eventually(true: Callable[[], bool], seconds: float) -> bool:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if true():
            return True
        time.sleep(0.5)
    return False


def test_everything_is_healthy_in_time(stack: Stack) -> None:
    assert stack.up_seconds < UP_SECONDS


def test_both_views_reach_the_page(stack: Stack, watcher: PairWatcher) -> None:
    assert watcher.wait_for_pair(time.time_ns(), timeout=BACK_SECONDS) is not None
    assert stack.get("PAGE_PORT", "/api/status")["ready"] is True
    assert len(stack.get("PAGE_PORT", "/api/links")["links"]) == 2


def all_targets_up(stack: Stack) -> bool:
    targets = stack.get("PROMETHEUS_PORT", "/api/v1/targets")["data"]["activeTargets"]
    return len(targets) == 5 and all(target["health"] == "up" for target in targets)


def test_prometheus_reaches_every_target(stack: Stack) -> None:
    if not prometheus():
        pytest.skip("Prometheus' image is not on this machine")
    assert eventually(lambda: all_targets_up(stack), 20.0)
    assert len(stack.get("PROMETHEUS_PORT", "/api/v1/rules?type=alert")["data"]["groups"][0]["rules"]) == RULES.count(
        "- alert:"
    )


@pytest.mark.parametrize("image", MEGABYTES)
def test_the_image_is_small_and_brings_no_torch(stack: Stack, image: str) -> None:
    size = ["docker", "image", "inspect", "--format", "{{.Size}}", f"{image}:smoke"]
    assert int(subprocess.check_output(size)) / 1e6 <= MEGABYTES[image]
    look = "import importlib.util as u; raise SystemExit(u.find_spec('torch') is not None)"
    assert succeeds("docker", "run", "--rm", "--entrypoint", "python3", f"{image}:smoke", "-c", look)


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_can_change_nothing_but_its_scratch_folder(stack: Stack, service: str) -> None:
    tried = """
import os, pathlib
assert os.getuid() == 10001
caps = [l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapBnd', 'NoNewPrivs'))]
assert caps == ['0000000000000000', '0000000000000000', '1'], caps
pathlib.Path('/tmp/scratch').write_text('')
for folder in '/', '/etc/vergence', '/opt/vergence':
    try:
        pathlib.Path(folder, 'x').write_text('')
    except OSError:
        continue
    raise SystemExit(f'{folder} can be written')
"""
    stack.compose("exec", "--no-TTY", service, "python3", "-c", tried)


@pytest.mark.parametrize("service", SERVICES)
def test_the_picture_comes_back_after_a_kill(stack: Stack, watcher: PairWatcher, service: str) -> None:
    stack.compose("kill", service)
    stack.compose("start", service)
    assert watcher.wait_for_pair(time.time_ns(), timeout=BACK_SECONDS) is not None


def test_the_picture_comes_back_after_the_network_does(stack: Stack, watcher: PairWatcher) -> None:
    container = stack.compose("ps", "--quiet", "channel-emulator").strip()
    network = "vergence-smoke_default"
    subprocess.check_call(["docker", "network", "disconnect", network, container])
    time.sleep(2)
    subprocess.check_call(["docker", "network", "connect", "--alias", "channel-emulator", network, container])
    assert watcher.wait_for_pair(time.time_ns(), timeout=BACK_SECONDS) is not None


@pytest.fixture
def locked_stack(stack: Stack, certs: Path) -> Iterator[Stack]:
    """The same images behind locked doors, in a project and on ports of their own."""
    with ExitStack() as held:
        names = ("PAGE_PORT", "CENTER_PORT", "EMULATOR_PORT", "PROMETHEUS_PORT")
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = {name: str(server.getsockname()[1]) for name, server in zip(names, taken, strict=True)}
    user = f"{os.getuid()}:{os.getgid()}"
    locks = {"COMPOSE_FILE": "compose.yaml:deploy/compose.mtls.yaml", "COMPOSE_PATH_SEPARATOR": ":"}
    stack.compose("stop", "--timeout", "5")  # its own tests are over, and this machine may be small
    project = {"VERGENCE_CERTS": str(certs), "VERGENCE_USER": user, **locks}
    made = Stack({**stack.environment, **ports, **project}, project="vergence-smoke-mtls")
    try:
        made.compose("up", "--detach", "--wait", "--wait-timeout", "120", *SERVICES, *prometheus())
        yield made
    finally:
        print(made.compose("logs", "--tail", "20"))
        made.compose("down", "--volumes", "--timeout", "5")


def check_page(port: str, viewer: Path) -> None:
    """By HTTPS, and for whoever has a token."""
    page, trusting = f"https://127.0.0.1:{port}/api/status", ssl.create_default_context(cafile=viewer / "authority.pem")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(page, timeout=5, context=trusting)
    asked = urllib.request.Request(page, headers=dict(locked.keys(viewer).metadata()))
    with urllib.request.urlopen(asked, timeout=5, context=trusting) as answer:
        assert json.load(answer)["ready"] is True


async def test_the_demo_runs_behind_locked_doors(locked_stack: Stack, certs: Path) -> None:
    """Pairs come out to whoever has a certificate and a viewer's token, and to nobody else."""
    address = f"127.0.0.1:{locked_stack.environment['CENTER_PORT']}"
    viewer = locked.keys(certs / "viewer")
    async with asyncio.timeout(180), grpc_kit.connect(address, viewer) as channel:
        watch: Any = PairServiceStub(channel).WatchPairs(WatchPairsRequest(), metadata=viewer.metadata())
        async for pair in watch:
            if pair.pairing == PAIRING_PAIRED and pair.views[0].HasField("psnr_db"):
                break  # both views, and a reference: all four hops
        watch.cancel()
        camera = locked.keys(certs / "demo-left")
        refused: Any = PairServiceStub(channel).WatchPairs(WatchPairsRequest(), metadata=camera.metadata())
        with pytest.raises(aio.AioRpcError, match="'demo-left' has the role camera"):
            await refused.read()
    assert not await grpc_kit.healthy(address, 5.0), "plain text gets no answer"
    await asyncio.to_thread(check_page, locked_stack.environment["PAGE_PORT"], certs / "viewer")
    if prometheus():  # the center's figures by HTTPS, with a token
        assert await asyncio.to_thread(eventually, lambda: all_targets_up(locked_stack), 30.0)
    logs = locked_stack.compose("logs")
    assert "vgt_" not in logs
    assert "security.allow_insecure" not in logs
