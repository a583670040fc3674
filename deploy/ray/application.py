"""The Serve application behind `engine.kind: ray`: replicas that each load the codec, and scale by their queues.

`serve run deploy/ray/serve.yaml` starts it. A center hands a batch more to it than there are replicas, so `ongoing`
requests for each replica stand above 1 exactly while all are busy: that is what starts another one.
"""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt
from ray import serve
from ray.serve.config import RequestRouterConfig

from center.decode import engines
from center.decode.engines import Batch
from center.decode.engines.ray_engine import DEPLOYMENT
from center.decode.failures import Failures
from wire.codec import DEFAULT


class Options(BaseModel):
    """What `args` in serve.yaml may hold.

    codec          a folder on every machine of the cluster, or a shipped name
    kind, device, threads  of each replica's own engine, as in the center's configuration
    warm_batches   sizes up to this one are decoded once before a replica takes work; a center's `batching.max_size`
    replicas       that always run
    most_replicas  that are started while all are busy
    """

    model_config = ConfigDict(extra="forbid")

    codec: str = DEFAULT
    kind: engines.Kind = "auto"
    device: engines.Device = "auto"
    threads: PositiveInt = 2
    warm_batches: NonNegativeInt = 4
    replicas: PositiveInt = 1
    most_replicas: PositiveInt = 8


# A replica holds one batch, so that its death takes no second one along. The next one waits at the center, whose router
# looks every 2 ms for an idle replica: by default it would wait up to half a second between two looks.
_ROUTING: Final = RequestRouterConfig(initial_backoff_s=0.002, backoff_multiplier=1, max_backoff_s=0.002)


@serve.deployment(
    name=DEPLOYMENT,
    max_ongoing_requests=1,
    request_router_config=_ROUTING,
    logging_config={"enable_access_log": False},
)
class Decoder:
    """One replica: an engine of its own and the one thread that may call it."""

    def __init__(self, options: Options) -> None:
        self._engine = engines.load(options.codec, options.kind, options.device, options.threads)
        engines.warm_up(self._engine, options.warm_batches)
        self._thread = ThreadPoolExecutor(1)
        self._failures = Failures()

    async def describe(self) -> dict[str, str]:
        """What a center asks when it starts."""
        return {"codec_hash": self._engine.codec_hash, "engine": self._engine.name, "pid": str(os.getpid())}

    async def decode(self, batch: Batch) -> NDArray[np.float16]:
        """Pictures [B, 2, 3, rows, columns] in [0, 1]; half precision is half the bytes, and 2e-4 of full scale."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._decode, batch)

    async def check_health(self) -> None:
        """Asked by Ray now and then, which starts another replica in the place of one that raises."""
        if self._failures.are_for_good(time.monotonic()):
            raise RuntimeError("the decoder fails on every batch")

    def _decode(self, batch: Batch) -> NDArray[np.float16]:
        try:
            pictures = self._engine.decode(batch)
        except Exception as error:
            self._failures.add(error, len(batch), time.monotonic())
            raise
        self._failures.end_row()
        return np.clip(pictures, 0.0, 1.0).astype(np.float16)


def build(options: Options) -> Any:
    """The application, for `serve run`."""
    room: dict[str, Any] = {"num_gpus": 1} if options.device == "cuda" else {"num_cpus": options.threads}
    scaling = {
        "min_replicas": options.replicas,
        "max_replicas": max(options.replicas, options.most_replicas),
        "target_ongoing_requests": 1,
        "upscale_delay_s": 5,
        "downscale_delay_s": 60,
    }
    return Decoder.options(autoscaling_config=scaling, ray_actor_options=room).bind(options)  # type: ignore[attr-defined]
