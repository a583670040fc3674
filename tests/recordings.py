"""Recordings of a real decoder, made without a network in between."""

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from center.config import RecordSection
from center.decode.engines import Engine, load
from center.decode.jobs import Decoded, Job, decode
from center.metrics import Metrics
from center.output.quality import measure
from center.output.results import DecodedPair, ViewResult
from center.record import messages
from center.record.recorder import Recorder
from wire.contract.arrays import pack_complex
from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime.errors import UserError
from wire.v1 import pair_service_pb2, recording_pb2, types_pb2
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.views import View

REFERENCE = np.random.default_rng(5).integers(0, 255, (128, 256, 3), np.uint8)


@functools.cache
def shipped_engine() -> Engine:
    """The shipped codec; two threads, as in the default configuration. Skips the test where it is not there."""
    try:
        return load("small-joint", "onnxruntime", "cpu", 2)
    except UserError as problem:
        pytest.skip(str(problem))


def job(
    sequence: int,
    rig: str = "lab",
    views: Sequence[View] = tuple(View),
    sample_type: str = "f32",
    size: PictureSize = DEFAULT_SIZE,
) -> Job:
    """One instant of noise over a fading left link and a noiseless right one."""
    random = np.random.default_rng([sequence, len(rig)])

    def complex_numbers(count: int) -> np.ndarray:
        parts = random.standard_normal((2, count)) / np.sqrt(2)
        return (parts[0] + 1j * parts[1]).astype(np.complex64)

    pair = recording_pb2.RecordedPair(rig=rig, pairing=pair_service_pb2.PAIRING_PAIRED, decoded_at_ns=time.time_ns())
    pair.height, pair.width = size.rows, size.columns
    for view in views:
        at = 1_700_000_000_000_000_000 + sequence * 100_000_000 + view.position
        frame = link_pb2.SymbolFrame(
            sequence=sequence,
            captured_at_ns=at,
            symbols=pack_complex(complex_numbers(size.symbols), sample_type),
            referenced=view is View.LEFT,
            stages=[link_pb2.StageTime(stage="encode", microseconds=11_000)],
        )
        if view is View.LEFT:
            state = types_pb2.ChannelState(snr_db=7.3, noise_variance=0.1862, coherence=10)
            state.gain.CopyFrom(pack_complex(complex_numbers(size.symbols // 10)))
            frame.channel_state.CopyFrom(state)
        recorded = recording_pb2.RecordedFrame(view=view.to_proto(), boot_id=sequence, received=frame)
        recorded.captured_at_ns, recorded.arrived_at_ns = at + 256, at + 20_000_000
        pair.frames.append(recorded)
    return messages.to_job(pair)


Batches = Sequence[Sequence[Job]]
Record = Callable[..., Path]
"""`record([[job(1), job(2)], [job(3)]])` records two batches and gives the folder."""


def recorder_in(parent: Path) -> Record:
    """Decodes batches with the shipped codec and records them in folders under `parent`."""

    def record(batches: Batches, name: str = "ring") -> Path:
        folder, engine = parent / name, shipped_engine()
        session = messages.session("small-joint", engine, 2)
        recorder = Recorder(RecordSection(folder=str(folder), queue=64, flush_s=0.05), session, Metrics())
        recorder.start()
        for jobs in batches:
            began = time.time()
            decoded = decode(engine, jobs)
            ended = time.time()
            recorder.decoded(jobs, decoded, began, ended)
            for one, views in zip(jobs, decoded, strict=True):
                if views[0].frame.referenced:
                    recorder.measured(_measured(one, views, ended), [views[0].frame.key])
        recorder.close(20.0)
        assert recorder.recorded == sum(len(jobs) for jobs in batches)
        return folder

    return record


def _measured(job: Job, views: tuple[Decoded, ...], ended: float) -> DecodedPair:
    """As the quality monitor would tell it."""
    figures = measure(views[0].exact, REFERENCE)
    results = [
        ViewResult(view.frame.view, view.frame.sequence, view.frame.snr_db, view.picture, 0.1, {}) for view in views
    ]
    left = ViewResult(
        View.LEFT, views[0].frame.sequence, 7.3, views[0].picture, 0.1, {}, figures.psnr_db, figures.ms_ssim, REFERENCE
    )
    captured = round(min(frame.captured_at for frame in job.frames) * 1e9)
    return DecodedPair(job.rig, captured, round(ended * 1e9), len(views) == 1, (left, *results[1:]))
