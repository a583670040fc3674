"""What is recorded, as messages: decoded batches and figures on the way in, jobs for the decoder on the way out."""

import hashlib
import platform
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, get_args

import numpy as np
from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
from google.protobuf.message import Message
from numpy.typing import NDArray

from center.decode.engines import Engine, Kind
from center.decode.jobs import Decoded, Job
from center.ingest.frames import Frame, check_and_equalise, stage_times
from center.output.pictures import pack
from center.output.quality import FrameKey
from center.output.results import DecodedPair
from wire.contract.sizes import size_of
from wire.geometry import PictureSize
from wire.runtime.errors import FrameError, UserError
from wire.v1 import pair_service_pb2 as pair_pb2
from wire.v1 import recording_pb2, types_pb2
from wire.views import View

SESSION_TOPIC: Final = "/session"
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a recording. log_time, publish_time: Unix nanoseconds of decoding and of capture."""

    topic: str
    message: Message
    log_time: int
    publish_time: int
    sequence: int


def topic(rig: str, *rest: str) -> str:
    """The topic of a rig's pairs, figures, or one view's pictures."""
    return "/" + "/".join((rig, *rest))


def digest(exact: NDArray[np.float32]) -> bytes:
    """SHA-256 of a decoded picture, float32 [3, rows, columns] in [0, 1]; about 1 ms, not for the event loop."""
    return hashlib.sha256(np.ascontiguousarray(exact, dtype="<f4").data).digest()


@dataclass(frozen=True, slots=True, eq=False)
class DecodedBatch:
    """What left the decoder at once.

    number        counts batches up from 1 within the session
    decoded       per job, one for each of its frames
    began, ended  seconds on the center's clock
    step          what that clock lacks to Unix time now, seconds: the host's clock may have been set
    """

    number: int
    jobs: Sequence[Job]
    decoded: Sequence[tuple[Decoded, ...]]
    began: float
    ended: float
    step: float = 0.0

    @property
    def nbytes(self) -> int:
        """What it holds in memory: symbols as they came and as they were decoded, and pictures."""
        return sum(_held(job, views) for job, views in zip(self.jobs, self.decoded, strict=True))

    def _ns(self, at: float) -> int:
        """Unix nanoseconds of a moment on the center's clock."""
        return round((at + self.step) * _NANO)

    def records(self, with_pictures: bool) -> Iterator[Record]:
        """Messages of the whole batch, pairs first. Takes milliseconds: not for the event loop.

        with_pictures  also the pictures as JPEG, in the form that Foxglove shows
        """
        ended = self._ns(self.ended)
        for position, (job, views) in enumerate(zip(self.jobs, self.decoded, strict=True)):
            captured = self._ns(min(frame.captured_at for frame in job.frames))
            pair = recording_pb2.RecordedPair(
                rig=job.rig,
                pairing=pair_pb2.PAIRING_PAIRED if len(views) == 2 else pair_pb2.PAIRING_SINGLE,
                captured_at_ns=captured,
                decoded_at_ns=ended,
                batch=self.number,
                batch_size=len(self.jobs),
                batch_position=position,
                frames=[self._frame(view) for view in views],
                height=job.size.rows,
                width=job.size.columns,
            )
            yield Record(topic(job.rig, "pairs"), pair, ended, captured, job.frames[0].sequence)
        if with_pictures:
            yield from self._pictures(ended)

    def _frame(self, view: Decoded) -> recording_pb2.RecordedFrame:
        frame = view.frame
        return recording_pb2.RecordedFrame(
            view=frame.view.to_proto(),
            boot_id=frame.key.boot_id,
            received=frame.message,
            captured_at_ns=self._ns(frame.captured_at),
            arrived_at_ns=self._ns(frame.arrived_at),
            picture_sha256=digest(view.exact),
            decode_microseconds=max(0, round((self.ended - self.began) * 1e6)),
        )

    def _pictures(self, ended: int) -> Iterator[Record]:
        for job, views in zip(self.jobs, self.decoded, strict=True):
            for view in views:
                captured = self._ns(view.frame.captured_at)
                name = str(view.frame.view)
                image = CompressedImage(
                    frame_id=f"{job.rig}/{name}",
                    data=pack(view.picture, types_pb2.PICTURE_FORMAT_JPEG).data,
                    format="jpeg",
                )
                image.timestamp.FromNanoseconds(captured)
                yield Record(topic(job.rig, name, "picture"), image, ended, captured, view.frame.sequence)


def _held(job: Job, views: Sequence[Decoded]) -> int:
    """Bytes of one decoded job. The decoder makes one array for both views, whether both came or not."""
    symbols = sum(frame.symbols.nbytes + frame.reliability.nbytes for frame in job.frames)
    messages = sum(frame.message.ByteSize() for frame in job.frames if frame.message is not None)
    return symbols + messages + len(View) * views[0].exact.nbytes + sum(view.picture.nbytes for view in views)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Frames of a pair that met their references. at: Unix seconds."""

    pair: DecodedPair
    keys: Sequence[FrameKey]
    at: float

    @property
    def nbytes(self) -> int:
        """What it holds in memory: the pictures, and what they were measured against."""
        return self.pair.nbytes

    def records(self, with_pictures: bool) -> Iterator[Record]:
        """One message for each view. Takes milliseconds: not for the event loop.

        with_pictures  changes nothing: a reference is always kept, for comparisons
        """
        results = {result.view: result for result in self.pair.views}
        for key in self.keys:
            result = results[key.view]
            if result.psnr_db is None or result.reference is None:
                continue
            figures = recording_pb2.RecordedFigures(
                rig=key.rig,
                view=key.view.to_proto(),
                boot_id=key.boot_id,
                sequence=key.sequence,
                psnr_db=result.psnr_db,
                ms_ssim=result.ms_ssim,
                reference=pack(result.reference, types_pb2.PICTURE_FORMAT_PNG),
            )
            where = topic(key.rig, str(key.view), "figures")
            yield Record(where, figures, round(self.at * _NANO), self.pair.captured_at_ns, key.sequence)


def session(codec: str, engine: Engine, threads: int) -> recording_pb2.RecordingSession:
    """What decodes, as the first message of every file; the recorder fills in which file it is.

    codec    as the configuration names it
    threads  CPU threads of the decoder; 0 is every core
    """
    kind, _, device = engine.name.partition(" on ")
    return recording_pb2.RecordingSession(
        session_id=secrets.randbits(64),
        codec=codec,
        codec_hash=engine.codec_hash,
        engine=kind,
        device=device,
        threads=threads,
        machine=machine(kind),
        version=_version("vergence"),
    )


def machine(kind: str) -> str:
    """What beside codec, threads and batch decides over the last bits of a picture. kind: of the engine"""
    cpu = platform.machine()
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        cpu = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), cpu)
    library = kind.partition("-")[0] if kind in get_args(Kind) else "numpy"
    return f"{cpu}; Python {platform.python_version()}; numpy {np.__version__}; {library} {_version(library)}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def frame_key(rig: str, frame: recording_pb2.RecordedFrame) -> FrameKey:
    """raises UserError if the view is none"""
    return FrameKey(rig, View.from_proto(frame.view), frame.boot_id, frame.received.sequence)


def to_job(pair: recording_pb2.RecordedPair) -> Job:
    """A recorded pair as the decoder took it: the same checks and the same equaliser as in the live path.

    raises  UserError with one line if the recording holds what no center would have decoded
    """
    views = [frame.view for frame in pair.frames]
    if views not in ([types_pb2.VIEW_LEFT], [types_pb2.VIEW_RIGHT], [types_pb2.VIEW_LEFT, types_pb2.VIEW_RIGHT]):
        raise UserError(
            f"a pair of rig '{pair.rig[:64]}' has the views {views[:4]}; left, right, or left and right belong"
        )
    try:
        size = size_of(pair)
    except ValueError as problem:
        raise UserError(f"a pair of rig '{pair.rig[:64]}': {problem}") from None
    return Job(tuple(_frame(pair.rig, frame, size) for frame in pair.frames), pair.decoded_at_ns / _NANO)


def _frame(rig: str, recorded: recording_pb2.RecordedFrame, size: PictureSize) -> Frame:
    key = frame_key(rig, recorded)
    try:
        symbols, reliability, snr_db = check_and_equalise(recorded.received, size)
    except FrameError as problem:
        raise UserError(f"frame {key.sequence} of {rig[:64]}/{key.view}: {problem}") from None
    return Frame(
        key=key,
        captured_at=recorded.captured_at_ns / _NANO,
        arrived_at=recorded.arrived_at_ns / _NANO,
        expires_at=float("inf"),
        symbols=symbols,
        reliability=reliability,
        snr_db=snr_db,
        stages=stage_times(recorded.received),
        referenced=recorded.received.referenced,
        answer=lambda *_: None,
        message=recorded.received,
        size=size,
    )
