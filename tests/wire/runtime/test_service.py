"""How a service ends: the first signal asks it to drain, a second one ends it at once."""

import signal
import subprocess
import sys
import time

import pytest

from wire.runtime.service import DOUBLE_S

CODE = """
import asyncio, sys
from wire.runtime.log import log_to_stderr
from wire.runtime.service import until_signalled

async def run(stop):
    print("running", flush=True)
    await stop.wait()
    print("draining", flush=True)
    await asyncio.sleep(float(sys.argv[1]))
    print("drained", flush=True)

log_to_stderr()
asyncio.run(until_signalled(run))
"""


def started(drain_s: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CODE, str(drain_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_begins_a_draining_shutdown(number: signal.Signals) -> None:
    with started(0.0) as process:
        process.send_signal(number)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, said, errors) == (0, "draining\ndrained\n", "")


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_drain_that_hangs(second: signal.Signals) -> None:
    with started(1000.0) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "draining\n"
        time.sleep(DOUBLE_S)  # the time itself is what is tried
        process.send_signal(second)
        said, errors = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + second, "")
    assert "a second signal: ending at once, what is queued is lost" in errors


def test_a_signal_that_is_sent_twice_at_once_still_drains() -> None:
    with started(1.0) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "draining\ndrained\n")
