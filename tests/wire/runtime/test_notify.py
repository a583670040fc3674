"""What systemd hears, on a socket of our own."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wire.runtime import notify


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(20.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_ready_and_stopping_are_told(systemd: socket.socket) -> None:
    notify.ready()
    notify.stopping()
    assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"STOPPING=1"]


async def test_the_watchdog_hears_of_a_loop_that_turns(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000")
    async with notify.watched():
        told = [await asyncio.to_thread(systemd.recv, 64) for _ in range(2)]
    assert told == [b"WATCHDOG=1"] * 2


def test_the_watchdog_of_another_process_is_not_ours() -> None:
    assert notify.watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}) == 30.0
    assert notify.watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) == 0.0
    assert notify.watchdog_seconds({}) == 0.0


def test_a_listener_that_does_not_read_holds_nobody_up(systemd: socket.socket) -> None:
    for _ in range(30):  # more than the kernel keeps for it
        notify.ready()
    assert systemd.recv(64) == b"READY=1"


def test_without_systemd_and_with_a_dead_one_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify.ready()
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")
    notify.ready()
