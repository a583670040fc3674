"""One server of a peer as a child process, with whatever it starts itself: started, warm, and gone for certain."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.peers.client import Caller
from benchmarks.peers.environment import ROOT
from benchmarks.peers.roster import Peer, Setting
from benchmarks.peers.servers.options import Options
from deploy.bench.load.watcher import cpu_seconds
from deploy.local import leash
from wire.codec import DEFAULT

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 15.0
_MARK: Final = "VERGENCE_PEER"
_QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "BENTOML_DO_NOT_TRACK": "True", "ORT_DISABLE_TELEMETRY": "1"}


class DidNotStart(Exception):
    """Why a server gave no pictures, in one line."""


@asynccontextmanager
async def serving(
    peer: Peer,
    python: Path,
    setting: Setting,
    threads: int,
    requests: Sequence[bytes],
    log: Path,
    codec: str = DEFAULT,
) -> AsyncIterator[tuple[Caller, Callable[[], float]]]:
    """A warm server of a peer: what calls it, and the CPU seconds that it and all that it started have used.

    threads   of its decoder
    requests  pairs to warm it with
    log       takes what it prints
    codec     that it decodes: a shipped name, or a folder from the root
    raises    DidNotStart
    """
    port, mark = free_port(), secrets.token_hex(8)
    options = Options(port, codec, threads, setting.batch, setting.delay_ms, setting.variant)
    command = [str(python), "-m", f"benchmarks.peers.servers.{peer.module}", *options.words()]
    with log.open("wb") as stream:
        child = subprocess.Popen(  # noqa: ASYNC220 its end is waited for in a thread
            [sys.executable, "-I", str(leash.__file__), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            cwd=log.parent,
            env={**os.environ, **_QUIET, "PYTHONPATH": str(ROOT), _MARK: mark},
            start_new_session=True,
        )
    caller = peer.connect(port)
    try:
        await _warm(caller, child, requests, log)
        yield caller, lambda: _cpu_seconds(mark)
    finally:
        await caller.close()
        await asyncio.to_thread(_stop, child, mark)


def free_port() -> int:
    """One of this machine's that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _warm(caller: Caller, child: "subprocess.Popen[bytes]", requests: Sequence[bytes], log: Path) -> None:
    began, last = time.monotonic(), "it never answered"
    while child.poll() is None and time.monotonic() - began < START_SECONDS:
        try:
            await asyncio.wait_for(caller(requests[0]), 5.0)
            break
        except Exception as error:  # of whatever is not up yet
            last = f"{type(error).__name__}: {error}"
        await asyncio.sleep(0.2)
    else:
        raise DidNotStart(await asyncio.to_thread(_last_line, log) or last)
    several = [caller(requests[i % len(requests)]) for i in range(4)]  # so that larger batches are warm too
    failed = [each for each in await asyncio.gather(*several, return_exceptions=True) if isinstance(each, Exception)]
    if failed:
        raise DidNotStart(f"of four pairs at once {len(failed)} fail: {failed[0]}")


def _last_line(log: Path) -> str:
    return "".join(log.read_text(errors="replace").strip().splitlines()[-1:])[:200]


def _stop(child: "subprocess.Popen[bytes]", mark: str) -> None:
    child.terminate()
    with suppress(subprocess.TimeoutExpired):
        child.wait(STOP_SECONDS)
    for pid in _marked(mark):  # what it started and left behind
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    child.wait()


def _cpu_seconds(mark: str) -> float:
    total = 0.0
    for pid in _marked(mark):
        with suppress(OSError):
            total += cpu_seconds(pid)
    return total


def _marked(mark: str) -> list[int]:
    """Processes that have the mark of one server in their environment (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{_MARK}={mark}\0".encode() in (folder / "environ").read_bytes() + b"\0":
                found.append(int(folder.name))
    return found
