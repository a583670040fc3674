"""Replicas of a Ray Serve application as an engine: pairs are put together here, and decoded wherever Ray has room.

`deploy/ray/` holds the application. A replica that dies takes the batch that it works on along and nothing else: Ray
starts another one, and the next batch goes to those that are left.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from center.decode.engines.base import Batch, BatchLost
from wire import codec
from wire.runtime.errors import UserError, not_installed, one_line
from wire.runtime.log_throttle import Throttle

_throttle = Throttle(logging.getLogger(__name__))

APPLICATION: Final = "vergence"
DEPLOYMENT: Final = "Decoder"

CALL_SECONDS: Final = 10.0
"""Until a batch counts as lost. A replica that dies is noticed far sooner; this is for one that hangs."""

_START_SECONDS: Final = 120.0
_COUNT_EVERY: Final = 1.0
_LONGEST_REASON: Final = 200


class RayEngine:
    """Several batches at once, each to the replica with the shorter queue of two. May be called from many threads.

    in_flight  one batch more than there are replicas: none waits for the next one, and Ray, which starts replicas by
               the length of their queues, sees one when all are busy
    """

    def __init__(
        self,
        handle: Any,
        running: Callable[[], int],
        where: str,
        lost: tuple[type[BaseException], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        handle   of the deployment: describe.remote() and decode.remote(batch) give something with result(timeout_s) and
                 cancel()
        running  how many replicas take work now; may be slow, and may raise anything
        where    for people
        lost     what `result` raises when a replica is gone; TimeoutError always is
        clock    gives seconds
        raises   what `result` and `running` do
        """
        self._handle, self._running, self._clock = handle, running, clock
        self._lost: tuple[type[BaseException], ...] = (TimeoutError, *lost)
        told = handle.describe.remote().result(timeout_s=_START_SECONDS)
        self.codec_hash: str = told["codec_hash"]
        self.name = f"ray on {where} ({told['engine']})"
        self._replicas, self._counted_at = max(1, running()), clock()
        self._counting = threading.Lock()

    @property
    def in_flight(self) -> int:
        return self._replicas + 1

    def decode(self, batch: Batch) -> NDArray[np.float32]:
        """raises  BatchLost if the replica that had the batch is gone"""
        answer: Any = None
        try:
            answer = self._handle.decode.remote(batch)
            pictures = np.asarray(answer.result(timeout_s=CALL_SECONDS), np.float32)
        except self._lost as error:
            if isinstance(error, TimeoutError) and answer is not None:
                answer.cancel()  # else a replica that comes back would decode what nobody waits for any more
            self._count(at_once=True)
            raise BatchLost(one_line(str(error) or type(error).__name__, _LONGEST_REASON)) from error
        self._count()
        return pictures

    def _count(self, at_once: bool = False) -> None:
        """Look how many replicas there are, now and then; beside the batches, which must not wait for the answer."""
        now = self._clock()
        if (at_once or now - self._counted_at >= _COUNT_EVERY) and self._counting.acquire(blocking=False):
            self._counted_at = now
            threading.Thread(target=self._look, name="replicas", daemon=True).start()

    def _look(self) -> None:
        try:
            self._replicas = max(1, self._running())
        except Exception as error:  # Ray's exceptions share no base here; batches may get through all the same
            why = one_line(str(error) or type(error).__name__, _LONGEST_REASON)
            _throttle.warn("count", f"the Ray replicas cannot be counted ({why}); {self._replicas} are taken to run")
        finally:
            self._counting.release()


def connect(name: str, address: str) -> RayEngine:
    """The replicas of a cluster. Slow; not for the event loop.

    name     codec of this center: a folder, or the name of a shipped one
    address  auto is the cluster that this host is part of; host:port; ray://host:port from outside
    raises   UserError if Ray is not installed, nobody answers, the application does not run or has another codec
    """
    ray, serve = load_ray()
    try:
        if not ray.is_initialized():
            ray.init(address, namespace="serve", log_to_driver=False, configure_logging=False)
    except Exception as error:  # Ray's exceptions share no base here
        why = one_line(str(error), _LONGEST_REASON)
        raise UserError(
            f"no Ray cluster answers at engine.address {address} ({why}); start one with `ray start --head`"
        ) from error
    gone = ray.exceptions
    lost = (gone.RayActorError, gone.WorkerCrashedError, gone.ObjectLostError, gone.NodeDiedError)
    try:
        handle = serve.get_app_handle(APPLICATION)
        engine = RayEngine(handle, lambda: _running(serve), address, lost)
    except Exception as error:
        why = one_line(str(error), _LONGEST_REASON)
        raise UserError(
            f"the Ray cluster at {address} does not run the application {APPLICATION} ({why});"
            " start it with `serve run deploy.ray.application:build`"
        ) from error
    ours = codec.verified(codec.onnx_file(name, "decoder"))[1]
    if ours is not None and ours != engine.codec_hash:
        raise UserError(
            f"the Ray replicas decode codec {engine.codec_hash}, and codec '{name}' here is {ours}; give both the same"
        )
    return engine


def _running(serve: Any) -> int:
    """How many replicas take work."""
    deployments = serve.status().applications[APPLICATION].deployments
    states = deployments[DEPLOYMENT].replica_states
    return sum(count for state, count in states.items() if getattr(state, "value", state) == "RUNNING")


def load_ray() -> tuple[Any, Any]:
    """The module, which reports to nobody, and its `serve`. raises UserError if one is not installed"""
    import os

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # looked at when a cluster starts
    try:
        import ray
        from ray import serve
    except ImportError as error:
        raise not_installed("ray", "ray") from error
    return ray, serve
