"""The recorder: what it confirms, and that no disk can hurt what is beside it."""

import asyncio
import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from center.config import RecordSection
from center.metrics import Metrics
from center.record import recorder as recorder_module
from center.record.mcap_file import AppendFile, McapFile
from center.record.messages import DecodedBatch
from center.record.reader import Recording, files
from center.record.recorder import Recorder
from deploy.bench.record import contents, is_complete, kill_again_and_again, synthetic_batch
from tests.center.conftest import Camera, awgn
from tests.waiting import eventually
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import connect
from wire.v1 import recording_pb2
from wire.views import View

SESSION = recording_pb2.RecordingSession(session_id=7, codec="tiny", codec_hash="0123456789abcdef")
OpenFile = Callable[[Path], McapFile]


class Disk(AppendFile):
    """A disk that can be held up and that can be full. asked: somebody waits for it; synced: bytes that it has
    confirmed."""

    free = 1 << 40
    may_sync = threading.Event()
    asked = threading.Event()
    synced = 0

    def write(self, data: bytes) -> int:
        if self.tell() + len(data) > type(self).free:
            super().write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)

    def sync(self) -> None:
        self.asked.set()
        assert self.may_sync.wait(10)
        super().sync()
        type(self).synced = self.tell()


@pytest.fixture
def disk() -> type[Disk]:
    return type("ThisDisk", (Disk,), {"may_sync": _set(threading.Event()), "asked": threading.Event(), "synced": 0})


def _set(event: threading.Event) -> threading.Event:
    event.set()
    return event


Start = Callable[..., Recorder]


@pytest.fixture
def start(tmp_path: Path, disk: type[Disk]) -> Iterator[Start]:
    """Starts recorders on `disk`; keywords are keys of the configuration, and `now`."""
    recorders: list[Recorder] = []

    def begin(now: Callable[[], float] = time.time, **section: Any) -> Recorder:
        values = {"folder": str(tmp_path), "flush_s": 0.02, **section}
        made = Recorder(
            RecordSection(**values), SESSION, Metrics(), now=now, open_file=lambda path: McapFile(path, disk(path))
        )
        made.start()
        recorders.append(made)
        return made

    yield begin
    for each in recorders:
        each.close(5.0)


def wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def cut_off(path: Path) -> None:
    """Leave a finished file as a crash after the last flush leaves it: without its end."""
    *_, last = Recording(path).records()
    with path.open("r+b") as file:
        file.truncate(last.end)


def all_there(folder: Path) -> set[int]:
    return {sequence for path in files(folder) for _, sequence in contents(path)}


def test_what_is_confirmed_is_in_the_file_before_it_is_finished(start: Start, tmp_path: Path) -> None:
    recorder = start()
    for sequence in (1, 2, 3):
        recorder.decoded(*synthetic_batch(1, sequence))
    wait(lambda: recorder.recorded == 3)
    assert all_there(tmp_path) == {1, 2, 3}
    assert not is_complete(files(tmp_path)[0])
    recorder.close(5.0)
    assert is_complete(files(tmp_path)[0])
    assert recorder.status()["pairs"] == {"recorded": 3, "dropped": 0, "failed": 0}


def test_nothing_is_confirmed_before_the_disk_has_confirmed_it(start: Start, disk: type[Disk], tmp_path: Path) -> None:
    disk.may_sync.clear()
    recorder = start(file_bytes=1 << 18)
    for sequence in range(1, 9):  # several files long
        recorder.decoded(*synthetic_batch(1, sequence))
    assert disk.asked.wait(20.0)
    assert recorder.recorded == 0
    disk.may_sync.set()
    wait(lambda: recorder.recorded == 8)
    assert all_there(tmp_path) == set(range(1, 9))


def test_kill_9_at_random_moments_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    result = kill_again_and_again(tmp_path, kills=20, seed=3, say=print)
    assert result.confirmed > 20  # else the kills came before anything was written
    assert result.lost == 0
    assert result.cut_off > 0


def test_a_slow_disk_never_makes_the_caller_wait(start: Start, disk: type[Disk]) -> None:
    disk.may_sync.clear()
    recorder = start(queue=4)
    batch = synthetic_batch(1, 1)
    recorder.decoded(*batch)
    assert disk.asked.wait(20.0)  # from here on the disk hangs
    for _ in range(199):
        recorder.decoded(*batch)
    assert disk.synced == 0, "every call came back while it hung"
    assert recorder.dropped == 199 - 4
    disk.may_sync.set()
    wait(lambda: recorder.recorded + recorder.dropped == 200)
    metric = recorder._metrics.registry.get_sample_value
    assert metric("vergence_center_recording_pairs_total", {"outcome": "dropped"}) == recorder.dropped
    assert metric("vergence_center_recording_pairs_total", {"outcome": "recorded"}) == recorder.recorded


def test_what_waits_for_a_slow_disk_is_bounded_in_bytes_too(start: Start, disk: type[Disk]) -> None:
    """16 times as much of one pair of 512x1024 as of one of 128x256 waits; the number alone says nothing of memory."""
    disk.may_sync.clear()
    batch = synthetic_batch(1, 1)
    recorder = start(queue=64, queue_bytes=3 * DecodedBatch(1, *batch).nbytes)
    recorder.decoded(*batch)
    assert disk.asked.wait(20.0)
    for _ in range(19):
        recorder.decoded(*batch)
    assert recorder.dropped == 19 - 3
    disk.may_sync.set()
    wait(lambda: recorder.recorded == 4)


async def test_pairs_are_shown_while_the_disk_hangs(
    start_center: Any, engine: Any, tmp_path: Path, disk: type[Disk], monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = Recorder.__init__.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "open_file", lambda path: McapFile(path, disk(path)))
    disk.may_sync.clear()
    center = await start_center(
        record={"folder": str(tmp_path), "flush_s": 0.01, "queue": 1}, pairing={"patience_ms": 5_000}
    )
    async with connect(f"127.0.0.1:{center.port}") as channel:
        left, right = Camera(channel, View.LEFT), Camera(channel, View.RIGHT)
        await left.connect()
        await right.connect()
        pairs = center.broadcaster.watch()
        for sequence in range(1, 21):
            at = time.time()
            await left.send(sequence, at, channel_state=awgn(5.0))
            await right.send(sequence, at)
            assert (await asyncio.wait_for(anext(pairs), 5)).views[0].sequence == sequence
    assert center.status()["recording"]["pairs"]["dropped"] > 0
    disk.may_sync.set()
    await eventually(lambda: center.status()["recording"]["pairs"]["recorded"] > 0)


def test_a_full_disk_stops_the_recorder_and_is_told_once(
    start: Start, disk: type[Disk], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_SECONDS", 0.0)
    recorder = start()
    recorder.decoded(*synthetic_batch(1, 1))
    wait(lambda: recorder.recorded == 1)
    disk.free = 0
    for sequence in range(2, 6):
        recorder.decoded(*synthetic_batch(1, sequence))
    wait(lambda: recorder.failed == 4)
    status = recorder.status()
    assert status["state"] == "stopped"
    assert status["why"].startswith("no space left on device; make room")
    assert [each.message for each in caplog.records if "has stopped: no space left" in each.message] == [
        f"recording to {tmp_path} has stopped: no space left on device; make room or set record.folder to another disk"
        " (tried again every 0 s)"
    ]
    assert recorder._metrics.registry.get_sample_value("vergence_center_recording_active") == 0
    assert all_there(tmp_path) == {1}  # what was confirmed is still there

    disk.free = 1 << 40
    recorder.decoded(*synthetic_batch(1, 6))
    wait(lambda: recorder.recorded == 2)
    assert recorder.status()["state"] == "recording"
    assert all_there(tmp_path) == {1, 6}


def test_a_disk_that_failed_is_left_alone_for_a_while(start: Start, disk: type[Disk], tmp_path: Path) -> None:
    recorder = start()
    disk.free = 0
    recorder.decoded(*synthetic_batch(1, 1))
    wait(lambda: recorder.failed == 1)
    disk.free = 1 << 40
    recorder.decoded(*synthetic_batch(1, 2))
    wait(lambda: recorder.failed == 2)
    assert not list(tmp_path.glob("*.mcap"))
    recorder._retry_at = 0.0  # half a minute later
    recorder.decoded(*synthetic_batch(1, 3))
    wait(lambda: recorder.recorded == 1)
    assert all_there(tmp_path) == {3}


def test_a_really_full_disk(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small tmpfs")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        recorder = Recorder(RecordSection(folder=str(tmp_path), flush_s=0.02), SESSION, Metrics())
        recorder.start()
        confirmed = 0
        for sequence in range(1, 60):
            recorder.decoded(*synthetic_batch(1, sequence))
            wait(lambda before=sequence: recorder.recorded + recorder.failed == before)  # type: ignore[misc]
            confirmed = recorder.recorded
        assert recorder.status()["state"] == "stopped"
        assert 0 < confirmed < 59
        assert all_there(tmp_path) >= set(range(1, confirmed + 1))
        recorder.close(5.0)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_the_ring_keeps_its_bounds_on_disk_and_leaves_other_files_alone(start: Start, tmp_path: Path) -> None:
    other = tmp_path / "holiday.mcap"
    other.write_bytes(b"mine")
    recorder = start(max_bytes=2 << 20, file_bytes=1 << 18, queue=64)
    most = 0
    for sequence in range(1, 61):
        recorder.decoded(*synthetic_batch(1, sequence))
        wait(lambda before=sequence: recorder.recorded == before)  # type: ignore[misc]
        most = max(most, sum(path.stat().st_size for path in tmp_path.glob("vergence-*.mcap")))
    assert (1 << 20) < most <= (2 << 20)
    other.unlink()
    there = all_there(tmp_path)
    assert there == set(range(min(there), 61))  # the newest, without a gap
    assert min(there) > 1


def test_what_is_older_than_the_ring_goes_without_anything_new_coming(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "_PRUNE_SECONDS", 0.0)
    clock = [time.time()]
    recorder = start(now=lambda: clock[0], max_age_s=100.0)
    recorder.decoded(*synthetic_batch(1, 1))
    wait(lambda: recorder.recorded == 1)
    clock[0] += 30.0  # a quarter of its age: the file is finished
    wait(lambda: is_complete(files(tmp_path)[0]))

    def gone() -> bool:
        clock[0] += 101.0
        return not list(tmp_path.glob("*.mcap"))

    wait(gone)


def test_a_file_that_a_crash_cut_off_is_finished_at_the_next_start(start: Start, tmp_path: Path) -> None:
    first = start()
    first.decoded(*synthetic_batch(1, 1))
    first.close(5.0)
    path = files(tmp_path)[0]
    cut_off(path)
    assert not is_complete(path)
    second = start()
    wait(lambda: is_complete(path))
    second.decoded(*synthetic_batch(1, 2))
    second.close(5.0)
    assert all_there(tmp_path) == {1, 2}


def test_two_recorders_do_not_share_a_folder(start: Start, tmp_path: Path) -> None:
    start()
    with pytest.raises(UserError, match="another center records there; give each a folder of its own"):
        start()


def test_a_folder_that_is_none_is_one_line(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"record\.folder .*file: file exists; give a folder that this center may"):
        start(folder=str(tmp_path / "file"))


def test_a_folder_that_it_makes_is_not_for_everybody(start: Start, tmp_path: Path) -> None:
    start(folder=str(tmp_path / "made"))
    assert not (tmp_path / "made").stat().st_mode & 0o007
