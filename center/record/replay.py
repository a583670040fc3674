"""Decodes recordings again: the same symbols, in the same batches, by the same engine or another."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray
from PIL import Image

from center.decode.engines import Engine
from center.decode.jobs import Decoded, Job, decode
from center.output.quality import Figures, FrameKey, measure
from center.record.kept import Kept
from center.record.messages import digest, to_job
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError
from wire.v1 import recording_pb2, types_pb2
from wire.views import View

Load = Callable[[recording_pb2.RecordingSession], Engine]
"""The engine for what a session recorded; may be slow. raises UserError"""

MOST_WAITING: Final = 64
"""Decoded views that wait for their reference, which comes seconds later at most."""
MOST_BYTES: Final = 64 << 20
"""Of those: ten of 512x1024."""

_LARGEST_BATCH: Final = 32
"""Pairs; larger pictures count as several, as in the batches of a center."""


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedPair:
    """One instant, decoded again. equal: per view, whether the picture is the recorded one bit for bit."""

    recorded: recording_pb2.RecordedPair
    views: tuple[Decoded, ...]
    equal: tuple[bool, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedFigures:
    """One view measured again. recorded_psnr_db: dB; reference: uint8 [rows, columns, 3]."""

    key: FrameKey
    recorded_psnr_db: float
    figures: Figures
    reference: NDArray[np.uint8]


@dataclass(slots=True)
class Tally:
    """What came of a replay. psnr: per measured view, dB recorded and dB now; faults: one line each, the first few."""

    pairs: int = 0
    equal: int = 0
    different: int = 0
    unreadable: int = 0
    psnr: list[tuple[float, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def fault(self, line: str) -> None:
        self.unreadable += 1
        if len(self.faults) < 5:
            self.faults.append(line)


class Replay:
    """Goes through the messages of recordings. No clock, no thread; decoding takes its time in `events`.

    load          gives the engine of a session
    with_ms_ssim  measure that too, 4 ms a view
    """

    def __init__(self, load: Load, with_ms_ssim: bool = False) -> None:
        self.tally = Tally()
        self.session: recording_pb2.RecordingSession | None = None
        self.engine: Engine | None = None
        self._load, self._with_ms_ssim = load, with_ms_ssim
        self._waiting: Kept[FrameKey, NDArray[np.float32]] = Kept(MOST_WAITING, MOST_BYTES)

    def events(self, messages: Iterable[Message]) -> Iterator[ReplayedPair | ReplayedFigures]:
        """Every pair and every measurement, in the order of the recording.

        raises  UserError if the engine cannot be loaded
        """
        batch: list[recording_pb2.RecordedPair] = []
        for message in messages:
            goes_on = (
                isinstance(message, recording_pb2.RecordedPair) and message.batch == batch[0].batch if batch else True
            )
            if not goes_on or len(batch) >= _LARGEST_BATCH:  # a file may call all of its pairs one batch
                yield from self._decode(batch)
                batch = []
            match message:
                case recording_pb2.RecordingSession():
                    self._open(message)
                case recording_pb2.RecordedPair():
                    batch.append(message)
                case recording_pb2.RecordedFigures():
                    yield from self._measure(message)
        if batch:
            yield from self._decode(batch)

    def _open(self, session: recording_pb2.RecordingSession) -> None:
        if self.session is None or self.session.session_id != session.session_id:
            self.engine = self._load(session)
        self.session = session

    def _decode(self, batch: Sequence[recording_pb2.RecordedPair]) -> Iterator[ReplayedPair]:
        """One batch as it was: what is missing of it stays absent, so that every pair keeps its size and place."""
        if self.engine is None:
            self.tally.fault(f"a pair of rig '{batch[0].rig[:64]}' stands before any session; it is not decoded")
            return
        size = batch[0].batch_size
        placed: dict[int, tuple[recording_pb2.RecordedPair, Job]] = {}
        for pair in batch:
            try:
                if not 1 <= size <= _LARGEST_BATCH or pair.batch_size != size or pair.batch_position >= size:
                    raise UserError(f"batch {pair.batch} has size {pair.batch_size} and position {pair.batch_position}")
                job = to_job(pair)
                most = job.size.most_in(_LARGEST_BATCH)
                if size > most:
                    line = f"batch {pair.batch} has {size} pairs of {job.size}; a center decodes {most} at once"
                    raise UserError(line)
                if any(job.size != other.size for _, other in placed.values()):
                    raise UserError(f"batch {pair.batch} has pictures of {job.size} among those of another size")
                placed[pair.batch_position] = pair, job
            except UserError as problem:
                self.tally.fault(str(problem))
        if not placed:
            return
        jobs = [placed[place][1] if place in placed else Job((), 0.0) for place in range(size)]
        decoded = decode(self.engine, jobs)
        for place, (pair, _) in sorted(placed.items()):
            views = decoded[place]
            equal = tuple(
                digest(view.exact) == frame.picture_sha256 for view, frame in zip(views, pair.frames, strict=True)
            )
            self.tally.pairs += 1
            self.tally.equal += sum(equal)
            self.tally.different += len(equal) - sum(equal)
            self._keep(views)
            yield ReplayedPair(pair, views, equal)

    def _keep(self, views: Sequence[Decoded]) -> None:
        for view in views:
            if view.frame.referenced:
                self._waiting.put(view.frame.key, view.exact)

    def _measure(self, recorded: recording_pb2.RecordedFigures) -> Iterator[ReplayedFigures]:
        try:
            key = FrameKey(recorded.rig, View.from_proto(recorded.view), recorded.boot_id, recorded.sequence)
            exact = self._waiting.take(key)
            if exact is None:
                return  # its pair is in an older file, or was not recorded
            reference = read_reference(recorded.reference, PictureSize(*exact.shape[1:]))
        except UserError as problem:
            self.tally.fault(str(problem))
            return
        figures = measure(exact, reference, self._with_ms_ssim)
        self.tally.psnr.append((recorded.psnr_db, figures.psnr_db))
        yield ReplayedFigures(key, recorded.psnr_db, figures, reference)


def read_reference(picture: types_pb2.Picture, size: PictureSize = DEFAULT_SIZE) -> NDArray[np.uint8]:
    """A recorded reference, uint8 [rows, columns, 3]. raises UserError if it is not a PNG of this size"""
    try:
        with Image.open(io.BytesIO(picture.data), formats=("PNG",)) as image:
            if image.size != (size.columns, size.rows):  # before anything is unpacked
                found = f"{image.height}x{image.width}"
                raise UserError(f"a recorded reference is {found} (rows x columns), its picture {size}")
            return np.asarray(image.convert("RGB"))
    except UserError:
        raise
    except Exception as error:  # whatever the library finds wrong with hostile bytes
        raise UserError(f"a recorded reference is not a readable PNG ({type(error).__name__})") from None
