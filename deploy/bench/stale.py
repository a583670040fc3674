"""How old pictures become when a reader takes only every second one: `vergence bench stale`."""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from center.config import CenterConfig
from center.decode.engines import Batch
from center.service import Center
from deploy.bench.arguments import positive
from deploy.bench.live import percentile
from deploy.local.process import stop_all
from deploy.local.stack import Ports, Stack
from wire import codec
from wire.geometry import CHANNELS
from wire.runtime.yaml_config import load

FRAME_PERIOD: Final = 0.1
LIMIT_PERIODS: Final = 3.0
SETTLE_SECONDS: Final = 5.0


class HalfSpeed:
    """A decoder that takes two frame periods for every batch, and paints grey."""

    name = "half speed"

    def __init__(self) -> None:
        self.codec_hash = codec.load_onnx(codec.DEFAULT, "decoder", 1).codec_hash

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        time.sleep(2 * FRAME_PERIOD)
        return np.full((len(batch), 2, CHANNELS, batch.size.rows, batch.size.columns), 0.5, np.float32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=positive, default=30.0, help="how long to watch (default %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Real edges and emulator at 10 frames a second, a center that decodes 5; 1 if pictures become too old."""
    ports = Ports.free()
    with tempfile.TemporaryDirectory() as logs:
        others = [each for each in Stack(ports, Path(logs)).processes if each.name != "center"]
        for process in others:  # they keep trying until the center is there
            process.start()
        try:
            taken, done = asyncio.run(watch(ports, arguments.seconds))
        finally:
            stop_all(others)
    print(f"{len(taken)} views at half speed, in frame periods of {FRAME_PERIOD * 1e3:.0f} ms since capture:\n")
    print("| when | p50 | p95 | worst |")
    print("|---|---|---|---|")
    for name, ages in (("the reader takes it", taken), ("the reader is done", done)):
        of = [statistics.median(ages), percentile(ages, 0.95), max(ages)]
        print(f"| {name} | " + " | ".join(f"{age / FRAME_PERIOD:.2f}" for age in of) + " |")
    return int(max(taken) > LIMIT_PERIODS * FRAME_PERIOD)


async def watch(ports: Ports, seconds: float) -> tuple[list[float], list[float]]:
    """Ages in seconds when the decoder took and when it had done each view, after things have settled."""
    center = Center(load(CenterConfig, None, "VERGENCE_CENTER", ports.environment()), HalfSpeed())
    await center.start()
    taken, done = [], []
    began = time.monotonic()
    with center.broadcaster.watch() as pairs:
        while (now := time.monotonic() - began) < seconds + SETTLE_SECONDS:
            pair = await asyncio.wait_for(anext(pairs), 20)
            if now > SETTLE_SECONDS and not pair.measured:
                done += [view.latency for view in pair.views]
                taken += [view.latency - view.stages["decode"] for view in pair.views]
    await center.stop()
    return taken, done
