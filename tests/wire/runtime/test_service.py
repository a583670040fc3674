"""What every service does with signals."""

import signal
import subprocess
import sys
import time

from wire.runtime.service import DOUBLE_S

DRAINS = """
import asyncio
from wire.runtime.service import until_signalled

async def run(stop):
    print("up", flush=True)
    await stop.wait()
    print("draining", flush=True)
    await asyncio.sleep(60 if {slow} else 1)
    print("drained", flush=True)

asyncio.run(until_signalled(run))
"""


def draining(slow: bool) -> "subprocess.Popen[str]":
    """A process that has had its first signal. slow: it takes a minute over its end."""
    code = DRAINS.format(slow=slow)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    return process


def test_a_signal_that_is_sent_twice_at_once_still_drains() -> None:
    with draining(slow=False) as process:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert said == "draining\ndrained\n"
    assert process.returncode == 0


def test_a_second_signal_later_ends_at_once() -> None:
    with draining(slow=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "draining\n"
        time.sleep(DOUBLE_S)  # the time itself is what is tried
        process.send_signal(signal.SIGINT)
        assert process.wait(50) == 128 + signal.SIGINT
