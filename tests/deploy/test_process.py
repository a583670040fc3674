"""Services as child processes of a runner."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.process import ServiceProcess


def test_nothing_runs_between_fork_and_exec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC's threads make a fork abort now and then; without `preexec_fn` there is a vfork, which they do not see."""
    given: dict[str, object] = {}
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **options: given.update(options))
    service = ServiceProcess("center", "center", tmp_path / "center.yaml", tmp_path / "center.log")
    service.start()
    assert service._stream is not None
    service._stream.close()
    assert given.get("preexec_fn") is None
    assert given["start_new_session"] is True


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash is Linux's")
def test_a_service_ends_with_its_runner_even_by_sigkill(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from deploy.local.process import ServiceProcess;"
        "each = ServiceProcess('edge', 'edge', Path(sys.argv[1]), Path(sys.argv[2]));"
        "each.start(); print(each.pid, flush=True); time.sleep(60)"
    )
    config, log = tmp_path / "edge.yaml", tmp_path / "edge.log"
    config.write_text("camera: {kind: synthetic}\nmetrics: {port: 0}\n")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(config), str(log)], stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        until = time.monotonic() + 60
        while "up" not in (log.read_text() if log.exists() else ""):
            assert time.monotonic() < until
            time.sleep(0.05)
        runner.send_signal(signal.SIGKILL)
    while Path(f"/proc/{pid}/cmdline").exists() and b"edge" in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < until
        time.sleep(0.05)
