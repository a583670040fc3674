"""Kill a recorder again and again: is all that it acknowledged there? `vergence bench record`.

A recorder in a process of its own writes pairs as fast as it can and tells, through a pipe, how many the disk has
confirmed. It is killed (SIGKILL) at a random moment; then every confirmed pair must be readable with the symbols that
were put in, from the file as the kill left it and again after the next recorder has finished that file.
"""

import argparse
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from center.config import RecordSection
from center.decode.jobs import Decoded, Job
from center.ingest.frames import Frame
from center.metrics import Metrics
from center.output.quality import FrameKey
from center.record.reader import Recording, files
from center.record.recorder import Recorder
from center.record.recovery import finish_torn
from deploy.bench.arguments import count
from wire.contract.arrays import pack_complex
from wire.geometry import DEFAULT_SIZE
from wire.runtime.errors import UserError
from wire.v1 import recording_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

RIG: Final = "kill"
LONGEST_LIFE: Final = 0.5
"""Seconds from the start of a recorder to its end, at most."""

_IN_FLIGHT: Final = 12


@dataclass(frozen=True, slots=True)
class Result:
    """Of all kills: pairs confirmed, confirmed but not there, there without having been confirmed; files cut off."""

    kills: int
    confirmed: int
    lost: int
    unconfirmed: int
    cut_off: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=count, default=100, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the moments; default %(default)s")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="on the disk to be tried; default: a temporary one")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 if a confirmed pair is lost."""
    with tempfile.TemporaryDirectory(prefix="vergence-record-", dir=arguments.folder) as folder:
        result = kill_again_and_again(Path(folder), arguments.kills, arguments.seed, print)
    print(
        f"{result.kills} kills, {result.cut_off} files cut off: {result.confirmed} pairs confirmed, {result.lost} of"
        f" them lost; {result.unconfirmed} more were there though not confirmed"
    )
    return 1 if result.lost else 0


def kill_again_and_again(folder: Path, kills: int, seed: int, say: Callable[[str], None]) -> Result:
    """Kill `kills` recorders of one ring, one after the other.

    raises  UserError if a file cannot be read, or loses something when it is finished
    """
    context = multiprocessing.get_context("forkserver")  # a quick start, and nothing of this process's threads
    context.set_forkserver_preload([__name__])
    moments = random.Random(seed)
    confirmed = lost = unconfirmed = cut_off = 0
    before: dict[Path, set[tuple[int, int]]] = {}
    for life in range(1, kills + 1):
        ours, theirs = context.Pipe(duplex=False)
        victim = context.Process(target=record_until_killed, args=(folder, life, theirs))
        victim.start()
        theirs.close()
        ours.recv()  # it has begun
        time.sleep(moments.uniform(0.0, LONGEST_LIFE))
        victim.kill()
        victim.join()
        acknowledged = _last(ours)
        for path, pairs in before.items():
            if path.exists() and not pairs <= contents(path):
                raise UserError(f"{path} lost pairs when it was finished")
            path.unlink(missing_ok=True)
        before = {path: contents(path) for path in _recordings(folder)}
        there = {sequence for pairs in before.values() for of, sequence in pairs if of == life}
        missing = set(range(1, acknowledged + 1)) - there
        confirmed, lost = confirmed + acknowledged, lost + len(missing)
        unconfirmed += len(there) - (acknowledged - len(missing))
        cut_off += sum(not is_complete(path) for path in before)
        if missing:
            say(f"kill {life}: {len(missing)} of {acknowledged} confirmed pairs are lost: {sorted(missing)[:5]}")
    for path, pairs in before.items():  # the last file, which no further recorder takes over
        finish_torn(path)
        if path.exists() and not pairs <= contents(path):
            raise UserError(f"{path} lost pairs when it was finished")
    return Result(kills, confirmed, lost, unconfirmed, cut_off)


def record_until_killed(folder: Path, life: int, told: Connection) -> None:
    """In the victim: record pair after pair, and tell how many the disk has confirmed."""
    section = RecordSection(folder=str(folder), file_bytes=1 << 20, max_bytes=1 << 32, flush_s=0.01)
    recorder = Recorder(section, recording_pb2.RecordingSession(session_id=life), Metrics())
    recorder.start()
    told.send(0)
    offered = seen = 0
    while True:
        if offered - recorder.recorded < _IN_FLIGHT:
            offered += 1
            recorder.decoded(*synthetic_batch(life, offered))
        else:
            time.sleep(0.001)
        if (now := recorder.recorded) > seen:
            told.send(now)
            seen = now


def synthetic_batch(boot_id: int, sequence: int) -> tuple[list[Job], list[tuple[Decoded, ...]], float, float]:
    """What a decoder would hand over: one pair whose symbols tell which one it is. Of the size that most rigs have: the
    disk's part does not depend on it."""
    now = time.time()
    exact = np.full((3, DEFAULT_SIZE.rows, DEFAULT_SIZE.columns), (sequence % 256) / 255, np.float32)
    picture = np.full((DEFAULT_SIZE.rows, DEFAULT_SIZE.columns, 3), sequence % 256, np.uint8)
    frames = tuple(_frame(view, boot_id, sequence, now) for view in View)
    return [Job(frames, now)], [tuple(Decoded(frame, exact, picture) for frame in frames)], now, now


def symbols(boot_id: int, sequence: int) -> bytes:
    """complex64 [5120] of unit power, as bytes; of one frame."""
    phases = np.random.Generator(np.random.Philox(key=[boot_id, sequence])).uniform(0, 2 * np.pi, DEFAULT_SIZE.symbols)
    return bytes(np.exp(1j * phases).astype("<c8").data)


def contents(path: Path) -> set[tuple[int, int]]:
    """Boot id and sequence of every pair that is in a recording with its own symbols."""
    found = set()
    for message in Recording(path).messages():
        if isinstance(message, recording_pb2.RecordedPair) and len(message.frames) == 2:
            boot_id, sequence = message.frames[0].boot_id, message.frames[0].received.sequence
            if all(frame.received.symbols.data == symbols(boot_id, sequence) for frame in message.frames):
                found.add((boot_id, sequence))
    return found


def _frame(view: View, boot_id: int, sequence: int, now: float) -> Frame:
    values = np.frombuffer(symbols(boot_id, sequence), np.complex64)
    message = link_pb2.SymbolFrame(sequence=sequence, captured_at_ns=round(now * 1e9), symbols=pack_complex(values))
    real = values.view(np.float32).reshape(DEFAULT_SIZE.symbols, 2)
    key = FrameKey(RIG, view, boot_id, sequence)
    ones = np.ones(DEFAULT_SIZE.symbols, np.float32)
    return Frame(key, now, now, np.inf, real, ones, np.inf, {}, False, lambda *_: None, message)


def _last(told: Connection) -> int:
    """The newest count that left the victim."""
    count = 0
    try:
        while True:
            count = int(told.recv())
    except (EOFError, OSError):
        return count


def _recordings(folder: Path) -> list[Path]:
    return files(folder) if any(folder.glob("*.mcap")) else []


def is_complete(path: Path) -> bool:
    """Whether a recording has its end."""
    recording = Recording(path)
    for _ in recording.records():
        pass
    return recording.complete
