"""What the decoder works on: one instant of one rig, into a batch and out of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from center.decode.engines import Batch, Engine, base
from center.ingest.frames import Frame
from wire.geometry import DEFAULT_SIZE, STEP, PictureSize
from wire.runtime.errors import UserError
from wire.views import View


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One or two views of one instant, left first.

    queued_at  when their pairing was decided, seconds on the clock
    deferred   one view whose partner was late, or dropped on its way; decoded only when nothing else waits
    """

    frames: tuple[Frame, ...]
    queued_at: float
    deferred: bool = False

    def completed_by(self, frame: Frame, tolerance: float) -> "Job | None":
        """The same with the other view of its instant; None where the frame is not that. tolerance: seconds"""
        partner, *more = self.frames
        if more or partner.view is frame.view or partner.size != frame.size:
            return None
        if abs(partner.captured_at - frame.captured_at) > tolerance:
            return None
        both = (partner, frame) if frame.view is View.RIGHT else (frame, partner)
        return Job(both, self.queued_at)

    @property
    def rig(self) -> str:
        return self.frames[0].key.rig

    @property
    def size(self) -> PictureSize:
        """Of its pictures, which have one size."""
        return self.frames[0].size

    @property
    def expires_at(self) -> float:
        """The job lives as long as its older frame."""
        return min(frame.expires_at for frame in self.frames)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """What became of one frame.

    exact   float32 [3, rows, columns] in [0, 1]
    picture uint8 [rows, columns, 3], the same rounded
    """

    frame: Frame
    exact: NDArray[np.float32]
    picture: NDArray[np.uint8]


def stack(jobs: Sequence[Job]) -> Batch:
    """B jobs of one size side by side; views that did not come stay absent, as do jobs without frames."""
    size = next((job.size for job in jobs if job.frames), DEFAULT_SIZE)
    batch = Batch.absent(len(jobs), size)
    for i, job in enumerate(jobs):
        for frame in job.frames:
            v = frame.view.position
            batch.symbols[i, v] = frame.symbols
            batch.reliability[i, v] = frame.reliability
            batch.snr_db[i, v] = frame.snr_db
    return batch


def decode(
    engine: Engine, jobs: Sequence[Job], begun: Callable[[], object] = lambda: None
) -> list[tuple[Decoded, ...]]:
    """Decode a batch, for the decoder's own thread; one tuple per job, in the order of its frames.

    begun  called when the engine had to wait for other batches, and begins with this one; see `engines.base.decode`
    """
    pictures = np.clip(base.decode(engine, stack(jobs), begun), 0.0, 1.0).astype(np.float32, copy=False)
    return [
        tuple(_view(frame, views[frame.view.position]) for frame in job.frames)
        for job, views in zip(jobs, pictures, strict=True)
    ]


def _view(frame: Frame, exact: NDArray[np.float32]) -> Decoded:
    picture = np.ascontiguousarray(np.rint(exact * 255.0).astype(np.uint8).transpose(1, 2, 0))
    return Decoded(frame, exact if not frame.referenced else exact.copy(), picture)


def knows_sizes(engine: Engine) -> bool:
    """Whether an engine decodes pictures of other sizes than 128x256: those of codecs of version 0.1 do not. Slow.

    Of the size that is tried nothing is kept.
    """
    other = PictureSize(DEFAULT_SIZE.rows, DEFAULT_SIZE.columns + STEP)
    try:
        pictures = engine.decode(Batch.absent(1, other))
    except UserError:
        return False
    finally:
        base.forget(engine, other)
    return pictures.shape[-2:] == (other.rows, other.columns)
