"""A disk that fills up under a whole center: the recorder stops and says so, all else goes on; then there is room."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from deploy.bench.faults.marked import Witness, environment, missed
from deploy.bench.watch import PairWatcher
from deploy.local.stack import Ports, Stack, metric, running
from wire.runtime.errors import UserError, cause
from wire.v1 import recording_pb2

LIMIT_SECONDS: Final = 120.0
ROOM_MB: Final = 512
STOPPED: Final = "has stopped: no space left on device"


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A file system of its own in memory, of a few megabytes. raises UserError where one cannot be mounted"""
    with tempfile.TemporaryDirectory(prefix="vergence-disk-") as place:
        _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "vergence-drill", place)
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def make_room(disk: Path) -> None:
    """raises UserError"""
    _run("mount", "-o", f"remount,size={ROOM_MB}m", str(disk))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"{command[0]}: {cause(error)}; run this drill on Linux as root") from None
    if done.returncode:
        raise UserError(f"a small disk cannot be made here ({done.stderr.strip()}); run this drill as root")


def drill(megabytes: int, fps: float, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Record on a disk of `megabytes` until it is full, go on so for `seconds`, make room, and read what was kept.

    raises  UserError if no small disk can be made, or it does not come to that
    """
    witness, ports = Witness(fps), Ports.free()
    with ExitStack() as held:
        disk = held.enter_context(small_disk(megabytes))
        folder = disk / "recordings"
        extra = {"VERGENCE_CENTER__RECORD__FOLDER": str(folder), "VERGENCE_CENTER__RECORD__FLUSH_S": "0.2"}
        stack = held.enter_context(running(ports, say, {**environment(fps), **extra}))
        watcher = PairWatcher(f"{ports.host}:{ports.center}", witness.look)
        held.callback(watcher.close)
        began = time.monotonic()
        _wait(lambda: not _center(stack, "recording_active"), "the disk has not become full")
        full, full_ns = time.monotonic() - began, time.time_ns()
        say(f"full after {full:.1f} s")
        time.sleep(seconds)
        until_ns = time.time_ns()
        watcher.wait_for_pair(until_ns, 10.0)
        lost = missed(watcher.since(0.0), "demo", fps, full_ns, until_ns)
        told = (stack.status() or {}).get("recording", {})
        unrecorded = _center(stack, "recording_pairs_total", outcome="failed")
        logged = STOPPED in (stack.logs / "center.log").read_text(encoding="utf-8", errors="replace")
        make_room(disk)
        room = time.monotonic()
        _wait(lambda: bool(_center(stack, "recording_active")), "it does not record again")
        back = time.monotonic() - room
        say(f"records again {back:.1f} s after there was room")
        confirmed = _center(stack, "recording_pairs_total", outcome="recorded")
        died = [process.name for process in stack.processes if process.exit_code() is not None]
        kept, damage = _read(folder)
    failures = [
        *(["instants were lost"] if lost > 0.1 * seconds * fps else []),
        *(["the status does not say so"] if told.get("state") != "stopped" else []),
        *(["the log does not say so"] if not logged else []),
        *(["no pair was counted as failed"] if not unrecorded else []),
        *(["confirmed pairs are missing"] if kept < confirmed else []),
        *(["a picture was wrong"] if witness.wrong else []),
        *(f"{name} died" for name in died),
    ]
    return {
        "megabytes": megabytes,
        "fps": fps,
        "seconds": seconds,
        "full_after": full,
        "instants": round((until_ns - full_ns) * 1e-9 * fps),
        "lost": lost,
        "status": told,
        "failed_pairs": unrecorded,
        "back_after": back,
        "confirmed": confirmed,
        "kept": kept,
        "damage": damage,
        "pictures": witness.shown,
        "failures": failures,
        "failed": len(failures),
    }


def _center(stack: Stack, name: str, **labels: str) -> float:
    return metric(f"{stack.ports.page_url}/metrics", f"vergence_center_{name}", **labels)


def _wait(holds: Callable[[], bool], problem: str) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise UserError(f"{problem} within {LIMIT_SECONDS:.0f} s")
        time.sleep(0.1)


def _read(folder: Path) -> tuple[int, list[str]]:
    """Pairs in all recordings, and what could not be read."""
    from center.record.reader import Recording

    kept, damage = 0, list[str]()
    for path in sorted(folder.glob("*.mcap")):
        recording = Recording(path)
        kept += sum(isinstance(message, recording_pb2.RecordedPair) for message in recording.messages())
        damage += recording.damage
    return kept, damage


def report(result: dict[str, Any]) -> None:
    """Print what was found."""
    told = result["status"]
    print(
        f"\na disk of {result['megabytes']} MB was full after {result['full_after']:.0f} s; then {result['lost']} of"
        f" {result['instants']} instants lost in {result['seconds']:.0f} s, {result['failed_pairs']:.0f} pairs counted"
        f" as not recorded; status: {told.get('state')} ({told.get('why')}); recorded again"
        f" {result['back_after']:.1f} s after there was room; {result['kept']} pairs can be read,"
        f" {result['confirmed']:.0f} were confirmed;"
        f" wrong: {'; '.join(result['failures']) or 'nothing'}"
    )
