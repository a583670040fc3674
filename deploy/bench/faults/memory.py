"""A center within a limit on its memory: under the worst load that its limits allow, and with less than it needs.

The limit is the kernel's (a control group), as systemd's `MemoryMax` and a container's are.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc

from deploy.bench.faults.idle import Idlers
from deploy.bench.faults.marked import RIGS, Witness, environment
from deploy.bench.faults.strike import LIMIT_SECONDS
from deploy.bench.live import resident
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import send_load
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, running
from wire import codec
from wire.runtime.errors import UserError, cause
from wire.runtime.grpc_kit import CLIENT_OPTIONS, OWN
from wire.v1 import pair_service_pb2 as pairs_pb2
from wire.v1.pair_service_pb2_grpc import PairServiceStub

_GROUPS: Final = Path("/sys/fs/cgroup")
RIGS_MORE: Final = 62
"""With the two that are watched, as many as `links.max_rigs` lets in."""
WATCHERS: Final = 120
IDLE: Final = 1_800
RATE: Final = 2.0
SLACK: Final = 4 * 2**20
"""Bytes beyond what the center holds at rest, for the limit that is too tight."""


@dataclass(frozen=True, slots=True)
class Cage:
    """A control group of version 1 or 2 with a limit on memory."""

    folder: Path
    limit_file: str
    peak_file: str

    def take(self, pid: int) -> None:
        """Let a process in; counted is what it takes from now on."""
        (self.folder / "cgroup.procs").write_text(str(pid))

    def limit(self, size: int) -> None:
        """Bytes. raises OSError where that much cannot be freed"""
        (self.folder / self.limit_file).write_text(str(size))

    def peak(self) -> int:
        """Bytes, files in its cache included; 0 where the kernel does not tell."""
        try:
            return int((self.folder / self.peak_file).read_text())
        except OSError:
            return 0


@contextmanager
def cage(limit: int) -> Iterator[Cage]:
    """raises UserError where there is no control group to be made"""
    old = (_GROUPS / "memory").is_dir()
    folder = _GROUPS / ("memory" if old else "") / f"vergence-drill-{os.getpid()}"
    files = ("memory.limit_in_bytes", "memory.max_usage_in_bytes") if old else ("memory.max", "memory.peak")
    try:
        folder.mkdir()
        made = Cage(folder, *files)
        made.limit(limit)
    except OSError as error:
        line = f"{folder}: {cause(error)}; this drill needs a control group for memory: run it on Linux as root"
        raise UserError(line) from None
    try:
        yield made
    finally:
        for _ in range(50):  # a process that was killed a moment ago may still be in it
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def drill(megabytes: int, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """The worst load for `seconds` within `megabytes`; then the same within what the center holds at rest.

    raises  UserError if there is no control group to be made
    """
    fps, ports = 2.0, Ports.free()
    witness = Witness(fps)
    prepared = PreparedFrames.make(codec.DEFAULT, 10.0)
    address = f"{ports.host}:{ports.center}"
    with ExitStack() as held:
        ample = held.enter_context(cage(megabytes * 2**20))
        stack = held.enter_context(running(ports, say, environment(fps), more_rigs=RIGS[1:]))
        center = stack.process("center")
        watcher = PairWatcher(address, witness.look)
        held.callback(watcher.close)

        def restart() -> float:
            """In the cage. returns seconds until both rigs are back"""
            center.restart()
            assert center.pid is not None
            ample.take(center.pid)
            began, now = time.monotonic(), time.time_ns()
            for rig in RIGS:
                if watcher.wait_for_pair(now, 8 * LIMIT_SECONDS, rig) is None:
                    raise UserError("\n".join([f"no pair of {rig} after a restart", *center.last_words()]))
            return time.monotonic() - began

        center.stop_within(8 * LIMIT_SECONDS)
        restart()
        time.sleep(5.0)
        assert center.pid is not None
        rest = resident(center.pid)
        say(f"at rest {rest / 2**20:.0f} MB; the worst load begins")
        held_then, ended = _under_load(address, [ports.center, ports.page], prepared, seconds, center.pid)
        halves = [max(half, default=0) for half in (held_then[: len(held_then) // 2], held_then[len(held_then) // 2 :])]
        peak = ample.peak()
        say(f"at most {max(halves) / 2**20:.0f} MB, {peak / 2**20:.0f} MB by the kernel's count")
        survived = center.exit_code() is None and not ended
        if center.exit_code() is None:
            center.stop_within(8 * LIMIT_SECONDS)
        restart()
        time.sleep(5.0)
        tight = resident(center.pid) + SLACK
        try:
            ample.limit(tight)
        except OSError:
            say("the kernel cannot bring the center down to that; it stays as it is")
        say(f"within {tight / 2**20:.0f} MB")
        _under_load(address, [ports.center], prepared, min(seconds, 20.0), center.pid)
        code = center.exit_code()
        say(f"the center {'lives on' if code is None else f'ended with {code}'}")
        ample.limit(megabytes * 2**20)
        if code is None:
            center.stop_within(8 * LIMIT_SECONDS)
        back = restart()
        died = [each.name for each in stack.processes if each.exit_code() is not None]
    return {
        "megabytes": megabytes,
        "seconds": seconds,
        "rigs": RIGS_MORE + len(RIGS),
        "rest": rest,
        "highest": max(halves),
        "halves": halves,
        "peak": peak,
        "survived": survived,
        "tight": tight,
        "tight_code": code,
        "back": back,
        "pictures": witness.shown,
        "wrong": witness.wrong,
        "died": died,
        "failed": int(not survived) + len(witness.wrong) + len(died),
    }


def _under_load(
    address: str, ports: list[int], prepared: PreparedFrames, seconds: float, pid: int
) -> tuple[list[int], bool]:
    """Every door full for `seconds`. returns the memory that a process held, again and again, and whether it ended"""
    idlers = Idlers(ports, IDLE // 2)
    channels = [grpc.insecure_channel(address, options=[*CLIENT_OPTIONS, OWN]) for _ in range(8)]
    stubs = [PairServiceStub(channel) for channel in channels]
    unread = [stubs[number % 8].WatchPairs(pairs_pb2.WatchPairsRequest()) for number in range(WATCHERS)]
    load = threading.Thread(target=_send, args=(address, prepared, seconds), name="load", daemon=True)
    load.start()
    found, until = list[int](), time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            try:
                now = resident(pid)
            except (OSError, IndexError):
                now = 0
            if now == 0:  # 0 is one that was killed and is not yet waited for
                return found, True
            found.append(now)
            time.sleep(0.1)
    finally:
        for call in unread:
            call.cancel()
        for channel in channels:
            channel.close()
        idlers.close()
        load.join(seconds + 30.0)
    return found, False


def _send(address: str, prepared: PreparedFrames, seconds: float) -> None:
    with suppress(Exception):  # the center may be killed meanwhile: that is what is looked for
        asyncio.run(send_load(address, prepared, RIGS_MORE, RATE, seconds))


def report(result: dict[str, Any]) -> None:
    """Print what was found."""
    rest, peak, tight = (f"{result[key] / 2**20:.0f} MB" for key in ("rest", "peak", "tight"))
    first, second = (f"{half / 2**20:.0f} MB" for half in result["halves"])
    code = result["tight_code"]
    ended = "lived on" if code is None else f"ended with {code}" if code >= 0 else signal.Signals(-code).name
    print(
        f"\n{result['rigs']} rigs, {WATCHERS} watchers who do not read and {IDLE} idle connections for"
        f" {result['seconds']:.0f} s: the center held {rest} at rest, at most {first} in the first half and"
        f" {second} in the second ({peak} of {result['megabytes']} MB by the kernel's count), and"
        f" {'lived on' if result['survived'] else 'ENDED'}."
        f" Within {tight}: {ended}; both rigs back {result['back']:.1f} s after the next start;"
        f" {result['pictures']} pictures checked, {len(result['wrong'])} wrong"
    )
