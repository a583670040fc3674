"""No service asks for a name, connects, takes a proxy or writes a file that its configuration does not name.

Watched by strace, because native code neither resolves names nor opens files through Python.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.stack import CONFIG, Ports, metric

ROOT = Path(__file__).resolve().parents[2]
CALLS = "connect,sendto,sendmsg,sendmmsg,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,symlink"
WATCHED_SECONDS = 12.0
"""Libraries report late: onnxruntime first asks for its collector's name 8 to 9 s after it has loaded a model."""
SERVICES = {"center": "center", "emulator": "channel_emulator", "edge-left": "edge", "edge-right": "edge"}
# The right edge draws its pictures, so that both ways to read a recorded scene are seen.
SOURCE = {"edge-right": {"VERGENCE_EDGE__CAMERA": "{kind: synthetic, fps: 10}"}}
DEVICES = ("/dev/null", "/dev/tty", "/proc/self/", "/sys/fs/cgroup")
PEER = re.compile(
    r"sin_port=htons\((?P<port>\d+)\), sin_addr=inet_addr\(\"(?P<host>[^\"]+)\"\)"
    r"|sin6_port=htons\((?P<port6>\d+)\).*?inet_pton\(AF_INET6, \"(?P<host6>[^\"]+)\""
)
WRITES = re.compile(r"\b(?:O_WRONLY|O_RDWR|O_CREAT)\b|^\d+ +(?:creat|mkdir|rename|link|symlink)")


def environment(home: Path, name: str, ports: Ports) -> dict[str, str]:
    """As after a login into an empty home folder: nothing of ours but where to listen."""
    edge_port = ports.left_metrics if name == "edge-left" else ports.right_metrics
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "http_proxy": "http://127.0.0.1:9",  # a company's, which no service may take for its own connections
        "https_proxy": "http://127.0.0.1:9",
        **ports.environment(),
        "VERGENCE_EDGE__VIEW": name.partition("-")[2] or "left",
        "VERGENCE_EDGE__METRICS__PORT": str(edge_port),
        **SOURCE.get(name, {}),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def traces(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What every service asked of the system from its start to its end; pairs went through meanwhile."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; where it is (Debian: strace) this test watches what services send")
    folder, ports = tmp_path_factory.mktemp("traces"), Ports.free()
    started = []
    for name, module in SERVICES.items():
        watched = ["strace", "-f", "-qq", "--seccomp-bpf", "-s", "80", "-o", str(folder / name), "-e", f"trace={CALLS}"]
        service = [sys.executable, "-m", module, "run", "--config", str(CONFIG / f"{name.partition('-')[0]}.yaml")]
        with (folder / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [*watched, *service],
                    cwd=folder,
                    env=environment(home, name, ports),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
    try:
        until = time.monotonic() + 60
        while metric(f"{ports.page_url}/metrics", "vergence_center_pairs_total", outcome="paired") < 10:
            assert time.monotonic() < until, "".join(path.read_text() for path in folder.glob("*.log"))
            time.sleep(0.2)
        time.sleep(WATCHED_SECONDS)
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)  # strace passes over it, the service stops
        for process in reversed(started):
            process.wait(timeout=30)
    return {name: (folder / name).read_text(errors="replace").splitlines() for name in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_connects_to_what_its_configuration_names(service: str, traces: dict[str, list[str]]) -> None:
    peers = [(match, line) for line in traces[service] for match in PEER.finditer(line)]
    if service != "center":  # which only answers: the trace would be empty for the wrong reason otherwise
        assert any((match["port"] or match["port6"]) != "0" for match, _ in peers)
    for match, line in peers:
        host = (match["host"] or match["host6"]).removeprefix("::ffff:")
        assert host in {"127.0.0.1", "::1", "0.0.0.0", "::"}, line
        assert (match["port"] or match["port6"]) not in {"9", "53"}, f"a proxy or a name server was asked: {line}"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_no_file(service: str, traces: dict[str, list[str]]) -> None:
    assert any("O_RDONLY" in line for line in traces[service])
    written = [line for line in traces[service] if WRITES.search(line) and "ENOENT" not in line]
    assert not [line for line in written if not any(f'"{device}' in line for device in DEVICES)]


def test_the_home_folder_stays_empty(home: Path, traces: dict[str, list[str]]) -> None:
    assert traces
    assert not list(home.rglob("*"))
