"""Records beside the live path: one thread behind a bounded backlog, a ring of files, and a count of what is safe."""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from center.config import RecordSection
from center.decode.jobs import Decoded, Job
from center.metrics import Metrics
from center.output.quality import FrameKey
from center.output.results import DecodedPair
from center.record.backlog import Backlog
from center.record.mcap_file import McapFile
from center.record.messages import SESSION_TOPIC, DecodedBatch, Measured, Record
from center.record.recovery import finish_torn
from center.record.ring import Limits, RingFile, file_name, is_ours
from wire.runtime.errors import UserError, cause
from wire.v1 import recording_pb2

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 30.0
"""After the disk failed: how long until a new file is tried."""

_LOCK: Final = ".vergence-recorder"
_TELL_DROPS: Final = 60.0
_PRUNE_SECONDS: Final = 10.0
_INDEX_SHARE: Final = 50
"""The index at a file's end takes less than one in so many of its bytes."""


class Recorder:
    """Writes decoded batches and figures. `decoded` and `measured` belong to the event loop's thread, never wait and
    never raise; all else happens in a thread of its own, so that no disk can slow or stop the live path.

    session    what decodes, see `messages.session`
    step       what the clock of jobs lacks to Unix time, seconds; see `SteadyClock.step`
    now        Unix seconds; tests bring their own
    open_file  makes the file of a path; tests bring disks that fail

    A pair counts as recorded when the disk has confirmed it (fsync): it is then readable whatever happens to this
    process, until the ring forgets it.
    """

    def __init__(
        self,
        section: RecordSection,
        session: recording_pb2.RecordingSession,
        metrics: Metrics,
        *,
        step: Callable[[], float] = lambda: 0.0,
        now: Callable[[], float] = time.time,
        open_file: Callable[[Path], McapFile] = McapFile,
    ) -> None:
        self.folder = Path(section.folder).expanduser()
        self.recorded = self.dropped = self.failed = 0
        self._section, self._session, self._metrics = section, session, metrics
        self._step, self._now, self._open_file = step, now, open_file
        self._limits = Limits(section.max_bytes, section.max_age_s, section.file_bytes)
        self._backlog: Backlog[DecodedBatch | Measured] = Backlog(section.queue, section.queue_bytes)
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._batches = 0
        self._drops_told_at = -_TELL_DROPS
        self._why = ""
        self._lock = -1
        # Below: the recorder's thread only.
        self._file: McapFile | None = None
        self._files: list[RingFile] = []
        self._number = self._unconfirmed = self._in_hand = 0
        self._began_at = self._flushed_at = 0.0
        self._retry_at = self._pruned_at = 0.0
        self._dirty = False

    def start(self) -> None:
        """Take the folder and begin.

        raises  UserError if the folder cannot be used, or another recorder uses it
        """
        try:
            self.folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            line = f"record.folder {self.folder}: {cause(error)}; give a folder that this center may write to"
            raise UserError(line) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            line = f"record.folder {self.folder}: another center records there; give each a folder of its own"
            raise UserError(line) from None
        self._thread.start()

    def decoded(self, jobs: Sequence[Job], decoded: Sequence[tuple[Decoded, ...]], began: float, ended: float) -> None:
        """A batch left the decoder; see `Pipeline.on_decoded`."""
        self._batches += 1
        self._offer(DecodedBatch(self._batches, jobs, decoded, began, ended, self._step()))

    def measured(self, pair: DecodedPair, keys: Sequence[FrameKey]) -> None:
        """Frames of a pair met their references; see `QualityMonitor.on_measured`."""
        self._offer(Measured(pair, keys, self._now()))

    def status(self) -> dict[str, Any]:
        """For the page's API: state is recording or stopped; why: one line, where it has stopped."""
        return {
            "state": "stopped" if self._why else "recording",
            "why": self._why,
            "folder": str(self.folder),
            "pairs": {"recorded": self.recorded, "dropped": self.dropped, "failed": self.failed},
        }

    def close(self, patience: float) -> None:
        """Write what waits and finish the file; after `patience` seconds leave the rest to the next start. Blocks."""
        self._leave.set()
        self._thread.join(patience)
        if self._thread.is_alive():
            log.warning("the recorder is left behind: the disk did not answer for %.0f s", patience)
        elif self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _offer(self, item: DecodedBatch | Measured) -> None:
        if self._backlog.put(item):
            return
        pairs = len(item.jobs) if isinstance(item, DecodedBatch) else 0
        self.dropped += pairs
        self._metrics.recording_pairs.labels("dropped").inc(pairs)
        if time.monotonic() - self._drops_told_at >= _TELL_DROPS:
            self._drops_told_at = time.monotonic()
            log.warning("pairs are not recorded: the disk of %s is too slow (%d so far)", self.folder, self.dropped)

    def _work(self) -> None:
        self._guarded(self._recover)
        while not (self._leave.is_set() and not self._backlog):
            item = self._backlog.get(timeout=min(0.2, self._section.flush_s))
            if item is not None:
                self._guarded(partial(self._write, item))
            del item  # a batch is megabytes
            self._guarded(self._tend)
        self._guarded(self._finish)

    def _guarded(self, step: Callable[[], None]) -> None:
        """One step; whatever fails stops the recording, not the recorder's thread."""
        try:
            step()
        except OSError as error:
            self._stop(f"{cause(error)}; make room or set record.folder to another disk")
        except Exception as error:  # a defect of ours must not end what may work with the next batch
            log.exception("recording failed")
            self._stop(f"{type(error).__name__}; see the log")

    def _stop(self, why: str) -> None:
        """Give the file up: what was flushed stays in it. A new one is tried later."""
        if self._file is not None:
            self._file.abandon()
            self._file = None
        self._fail(self._unconfirmed + self._in_hand)
        self._unconfirmed = self._in_hand = 0
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._metrics.recording_active.set(0)
        if not self._why:
            log.error("recording to %s has stopped: %s (tried again every %.0f s)", self.folder, why, RETRY_SECONDS)
        self._why = why

    def _fail(self, pairs: int) -> None:
        self.failed += pairs
        self._metrics.recording_pairs.labels("failed").inc(pairs)

    def _write(self, item: DecodedBatch | Measured) -> None:
        pairs = len(item.jobs) if isinstance(item, DecodedBatch) else 0
        if self._file is None and time.monotonic() < self._retry_at:
            self._fail(pairs)
            return
        self._in_hand = pairs
        records = list(item.records(self._section.pictures))
        size = sum(record.message.ByteSize() for record in records)
        if self._file is not None and self._limits.full(self._file.size + size, self._now() - self._began_at):
            self._finish()
        self._add(self._file or self._begin(), records)
        self._unconfirmed, self._in_hand, self._dirty = self._unconfirmed + pairs, 0, True

    def _add(self, file: McapFile, records: Sequence[Record]) -> None:
        for each in records:
            file.add(each.topic, each.message, each.log_time, each.publish_time, each.sequence)

    def _begin(self) -> McapFile:
        self._number += 1
        self._began_at = self._now()
        self._prune()
        at = round(self._began_at * 1e9)
        self._file = self._open_file(self.folder / file_name(at, self._session.session_id, self._number))
        session = recording_pb2.RecordingSession()
        session.CopyFrom(self._session)
        session.file_number, session.started_at_ns = self._number, at
        self._add(self._file, [Record(SESSION_TOPIC, session, at, at, self._number)])
        self._flushed_at = time.monotonic()
        return self._file

    def _tend(self) -> None:
        """What is due by the clock: the flush, the end of an old file, the end of what is older than the ring."""
        began = time.monotonic()
        if self._file is not None and self._limits.full(self._file.size, self._now() - self._began_at):
            self._finish()
        elif self._file is not None and self._dirty and began - self._flushed_at >= self._section.flush_s:
            self._file.flush()
            self._confirm(began)
        elif began - self._pruned_at < _PRUNE_SECONDS:
            return
        self._prune()

    def _finish(self) -> None:
        if self._file is not None:
            began = time.monotonic()
            self._file.finish()
            self._confirm(began)
            self._files.append(RingFile(self._file.path.name, self._file.size, self._now()))
            self._file = None

    def _confirm(self, began: float) -> None:
        """The disk has everything up to now. began: monotonic seconds."""
        self._flushed_at, self._dirty = time.monotonic(), False
        self._metrics.recording_flush.observe(self._flushed_at - began)
        self._metrics.recording_pairs.labels("recorded").inc(self._unconfirmed)
        self.recorded += self._unconfirmed
        self._unconfirmed = 0
        self._metrics.recording_active.set(1)
        if self._why:
            log.info("recording to %s goes on", self.folder)
            self._why = ""

    def _prune(self) -> None:
        """Delete what the ring has no room for, as if the file in progress had its full size already."""
        self._pruned_at = time.monotonic()
        reserved = self._limits.file_bytes + self._limits.file_bytes // _INDEX_SHARE
        for old in self._limits.expired(self._files, self._now(), reserved):
            (self.folder / old.name).unlink(missing_ok=True)
            self._files.remove(old)
        self._metrics.recording_bytes.set(
            sum(file.size for file in self._files) + (self._file.size if self._file else 0)
        )

    def _recover(self) -> None:
        """Take over the files of earlier recorders; one that a crash cut off gets its end."""
        for path in sorted(self.folder.iterdir()):
            if is_ours(path.name) and path.is_file() and not path.is_symlink():
                try:
                    finish_torn(path)
                except UserError as problem:
                    log.warning("%s", problem)
                if path.exists():
                    about = path.stat()
                    self._files.append(RingFile(path.name, about.st_size, about.st_mtime))
        self._metrics.recording_active.set(1)
        self._prune()
