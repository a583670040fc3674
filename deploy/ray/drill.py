"""Kill a replica under load and count what is lost: `python -m deploy.ray.drill [--replicas N] [--seconds S]`.

A Ray cluster, the application, a center with `engine.kind: ray` and open-loop cameras, all on this machine. Half way
one replica is killed with SIGKILL, as a machine that goes away would take it along.
"""

import argparse
import asyncio
import json
import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import ray
from ray import serve

from center.decode.engines.ray_engine import APPLICATION, DEPLOYMENT
from deploy.bench.arguments import count, output_file, positive
from deploy.bench.load.frames import PreparedFrames
from deploy.bench.load.generator import send_load
from deploy.bench.load.watcher import Counters, Seen, watch
from deploy.bench.result_file import measured_here, store
from deploy.bench.started import wait_until_ready
from deploy.local.process import ServiceProcess, stop_all
from deploy.local.stack import CONFIG, Ports
from deploy.ray.application import Options, build
from wire.codec import DEFAULT

SNR_DB: Final = 10.0
BATCH: Final = 4
"""Pairs in a batch at most: what a replica that dies may take along."""

_START_SECONDS: Final = 180.0


def main(words: list[str] | None = None) -> int:
    """0 if no more than one batch was lost and pairs came after that.

    words  of the command line; None takes this process's
    """
    parser = argparse.ArgumentParser(prog="python -m deploy.ray.drill", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--replicas", type=count, default=2, help="default %(default)s")
    parser.add_argument("--rigs", type=count, default=4, help="default %(default)s")
    parser.add_argument("--rate", type=positive, default=2.0, help="pairs a second of each rig (default %(default)s)")
    parser.add_argument("--seconds", type=positive, default=20.0, help="default %(default)s")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="store the result")
    asked = parser.parse_args(words)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray's CPUs are permissions, not cores: so many replicas fit on whatever machine this is.
    ray.init(num_cpus=asked.replicas + 1, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    try:
        serve.start(proxy_location="Disabled")
        fixed = {"replicas": asked.replicas, "most_replicas": asked.replicas}
        options = Options(kind="onnxruntime", threads=1, warm_batches=BATCH, **fixed)
        serve.run(build(options), name=APPLICATION, route_prefix=None)
        with tempfile.TemporaryDirectory(prefix="vergence-ray-") as logs:
            result = asyncio.run(_run(asked, Path(logs)))
    finally:
        serve.shutdown()
        ray.shutdown()
    print(json.dumps(result, indent=2))
    if asked.json is not None:
        store(asked.json, measured_here(result))
    return int(result["lost_instants"] > result["largest_batch"] or not result["pairs_after_the_kill"])


async def _run(asked: argparse.Namespace, logs: Path) -> dict[str, Any]:
    ports = Ports.free()
    environment = {
        **ports.environment(),
        "VERGENCE_CENTER__EMULATOR": "''",
        "VERGENCE_CENTER__ENGINE__KIND": "ray",
        "VERGENCE_CENTER__ENGINE__ADDRESS": ray.get_runtime_context().gcs_address,
        "VERGENCE_CENTER__BATCHING__MAX_SIZE": str(BATCH),
        "VERGENCE_CENTER__SECURITY__ALLOW_INSECURE": "true",  # it names this host by its address on the network
        # What dies with a replica is counted here, not what a slow machine makes late.
        "VERGENCE_CENTER__LINKS__AGE_BUDGET_MS": "20000",
        "VERGENCE_CENTER__PAIRING__PATIENCE_MS": "1000",
    }
    center = ServiceProcess("center", "center", CONFIG / "center.yaml", logs / "center.log", environment)
    center.start()
    try:
        await wait_until_ready(center, f"{ports.host}:{ports.center}", _START_SECONDS)
        return await _strike(asked, f"{ports.host}:{ports.center}", f"{ports.page_url}/metrics", center)
    finally:
        await asyncio.to_thread(stop_all, [center])


async def _strike(asked: argparse.Namespace, address: str, metrics: str, center: ServiceProcess) -> dict[str, Any]:
    prepared, seen = PreparedFrames.make(DEFAULT, SNR_DB, "f16"), Seen()
    victim = await asyncio.to_thread(_a_pid)
    before = await asyncio.to_thread(Counters.read, metrics)
    watching = asyncio.create_task(watch(address, seen))
    sending = asyncio.create_task(send_load(address, prepared, asked.rigs, asked.rate, asked.seconds))
    await asyncio.sleep(asked.seconds / 2)
    os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    back = asyncio.create_task(asyncio.to_thread(_seconds_until, asked.replicas))
    sent = await sending
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    counted = (await asyncio.to_thread(Counters.read, metrics)).since(before)
    drops = counted.by("vergence_center_drops_total", "reason")
    after = sorted(at - killed for moments in seen.arrivals.values() for at in moments if at > killed)
    gaps = [later - earlier for earlier, later in zip([0.0, *after], after, strict=False)]
    return {
        "replicas": asked.replicas,
        "offered_pairs": sent.captured // 2,
        "outcomes": counted.by("vergence_center_pairs_total", "outcome"),
        "drops": drops,
        "held_back": sent.held_back,
        "lost_instants": drops.get("replica", 0.0) / 2,
        "largest_batch": BATCH,
        "pairs_after_the_kill": len(after),
        "longest_gap_after_the_kill_s": round(max(gaps, default=float("nan")), 3),
        "replica_back_s": round(await back, 1),
        "log": center.last_warning(),
    }


def _a_pid() -> int:
    """Of the replica that answers."""
    return int(serve.get_app_handle(APPLICATION).describe.remote().result(timeout_s=_START_SECONDS)["pid"])


def _seconds_until(replicas: int) -> float:
    """Until one of the replicas is missed and all run again."""
    began, missed = time.monotonic(), False
    while time.monotonic() - began < _START_SECONDS:
        states = serve.status().applications[APPLICATION].deployments[DEPLOYMENT].replica_states
        running = sum(count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING")
        missed = missed or running < replicas
        if missed and running >= replicas:
            return time.monotonic() - began
        time.sleep(0.2)
    return float("nan")


if __name__ == "__main__":
    raise SystemExit(main())
