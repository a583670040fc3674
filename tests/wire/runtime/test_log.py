import logging
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.waiting import eventually
from wire.runtime.log import LINES_A_SECOND, MOST_LINES, QueuedHandler

ROOT = Path(__file__).resolve().parents[3]


def logger(handler: QueuedHandler) -> logging.Logger:
    made = logging.Logger("test")
    made.addHandler(handler)
    return made


def test_a_reader_that_stalls_does_not_stop_who_logs() -> None:
    """300 kB into a pipe of 64 kB that nobody reads: with a plain handler, the second print never came."""
    code = """if True:
        import logging
        from wire.runtime.log import log_to_stderr
        log_to_stderr()
        for number in range(3_000):
            logging.info("%d %s", number, "x" * 100)
        print("done", flush=True)
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    try:
        assert process.wait(timeout=30) == 0, "nor does it hold up the end of the process"
        assert process.stdout is not None
        assert process.stdout.read() == b"done\n"
    finally:
        process.kill()
        process.communicate()


async def test_what_is_left_out_is_counted() -> None:
    written: list[bytes] = []
    reading = threading.Event()

    def write(data: bytes) -> None:
        reading.wait()
        written.append(data)

    handler = QueuedHandler(write, most=2)
    log = logger(handler)
    log.warning("first")
    await eventually(handler._lines.empty)  # the thread holds it
    for number in range(5):
        log.warning("%d", number)
    reading.set()
    handler.flush()
    lines = b"".join(written).decode().splitlines()
    assert [line.rpartition(": ")[2] for line in lines if "left out" not in line] == ["first", "0", "1"]
    assert [int(count) for line in lines for count in re.findall(r"^\.\.\. (\d+) lines are left out", line)] == [3]


def test_a_flood_of_lines_fills_no_disk_and_hides_no_error() -> None:
    written, now = list[bytes](), 0.0
    handler = QueuedHandler(written.append, most=100_000, clock=lambda: now)
    log = logger(handler)
    for _ in range(100_000):
        now += 1e-4
        log.warning("a stream is not taken")
    log.error("worse")
    now += 1.0
    log.warning("afterwards")
    handler.flush()
    lines = b"".join(written).decode().splitlines()
    floods = sum(line.endswith("not taken") for line in lines)
    assert floods == pytest.approx(MOST_LINES + 10 * LINES_A_SECOND, rel=0.01)
    left_out = sum(int(count) for line in lines for count in re.findall(r"^\.\.\. (\d+) lines are left out", line))
    assert left_out == 100_000 - floods
    assert any(line.endswith("worse") for line in lines)
    assert any(line.endswith("afterwards") for line in lines)


def test_a_message_is_one_line_whatever_stands_in_it() -> None:
    written: list[bytes] = []
    handler = QueuedHandler(written.append)
    log = logger(handler)
    log.warning("rig %s", "a\n2026-01-01 ERROR center: forged \x1b[31m \u2028 end")
    log.warning("%s", "x" * 10**6)
    log.warning("%d", "no number")  # cannot be formatted
    log.warning("\udcff")
    handler.flush()
    lines = b"".join(written).decode().splitlines()
    assert len(lines) == 4, "one of them counts the one that could not be formatted"
    assert lines[0].endswith(r"rig a\n2026-01-01 ERROR center: forged \x1b[31m \u2028 end")
    assert len(lines[1]) < 5_000


def test_a_traceback_keeps_its_lines() -> None:
    written: list[bytes] = []
    handler = QueuedHandler(written.append)
    try:
        raise ValueError("inside")
    except ValueError:
        logger(handler).exception("it failed")
    handler.flush()
    lines = b"".join(written).decode().splitlines()
    assert lines[0].endswith("it failed")
    assert lines[-1] == "ValueError: inside"


def test_a_log_that_is_closed_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.runtime.log.FLUSH_SECONDS", 30.0)

    def write(data: bytes) -> None:
        raise BrokenPipeError

    handler = QueuedHandler(write)
    log = logger(handler)
    log.warning("nobody reads this")
    log.warning("nor this")
    began = time.monotonic()
    handler.flush()
    assert time.monotonic() - began < 15.0, "nothing is left that it would wait for"
