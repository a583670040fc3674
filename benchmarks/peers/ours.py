"""The center under the same loads: two cameras a rig over their own streams, a watcher that takes every picture.

Its parts are those of `vergence bench load`. Unlike the peers it gets each view alone and pairs them itself, and it
hands pictures to somebody who watches, not back to who sent: its ages hold all that.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.load import Answers
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import send_load
from deploy.bench.load.watcher import Seen, watch
from deploy.local.process import ServiceProcess, stop_all
from deploy.local.stack import CONFIG, Ports
from wire.runtime.errors import UserError
from wire.runtime.grpc_kit import healthy

_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ours:
    """A running center. address: of its gRPC door; prepared: what its cameras send"""

    address: str
    prepared: PreparedFrames

    async def load(self, rigs: int, rate: float, seconds: float) -> tuple[Answers, int]:
        """Send `rate` pairs a second over all rigs.

        returns  what the watcher saw, and how many instants were decoded with one view only
        """
        seen = Seen()
        watching = asyncio.create_task(watch(self.address, seen))
        try:
            await send_load(self.address, self.prepared, rigs, rate / rigs, seconds)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        arrivals = sorted(at for each in seen.arrivals.values() for at in each)  # the order in which ages were noted
        due = [at - age for at, age in zip(arrivals, seen.ages, strict=True)]
        return Answers(min(due, default=time.monotonic()), arrivals, seen.ages), seen.single


@asynccontextmanager
async def serving(prepared: PreparedFrames, codec: str, threads: int, max_rigs: int, logs: Path) -> AsyncIterator[Ours]:
    """A center of its own process that decodes with onnxruntime in 32-bit numbers. raises UserError"""
    ports = Ports.free()
    environment = {
        **ports.environment(),
        "VERGENCE_CENTER__EMULATOR": "''",  # an empty text in YAML
        "VERGENCE_CENTER__CODEC": codec,
        "VERGENCE_CENTER__ENGINE__KIND": "onnxruntime",
        "VERGENCE_CENTER__ENGINE__THREADS": str(threads),
        "VERGENCE_CENTER__LINKS__MAX_RIGS": str(max(64, max_rigs)),
    }
    center = ServiceProcess("center", "center", CONFIG / "center.yaml", logs / "center.log", environment)
    center.start()
    try:
        address, began = f"{ports.host}:{ports.center}", time.monotonic()
        while not await healthy(address, 1.0):
            if center.exit_code() is not None or time.monotonic() - began > _START_SECONDS:
                raise UserError("\n".join(["the center did not become ready:", *center.last_words()]))
            await asyncio.sleep(0.1)
        yield Ours(address, prepared)
    finally:
        await asyncio.to_thread(stop_all, [center])
