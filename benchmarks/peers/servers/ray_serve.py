"""Ray Serve: its HTTP proxy, one replica, `serve.batch`; the decoder in a thread beside its loop."""

import asyncio
import signal
import threading
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import PairDecoder


def application(options: Options) -> Any:
    """What `serve.run` takes."""

    @serve.deployment(
        num_replicas=1,
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": 1},
        logging_config={"enable_access_log": False},
    )
    class Pairs:
        def __init__(self) -> None:
            self._decoder = PairDecoder(options.codec, options.threads)

        @serve.batch(
            max_batch_size=options.batch, batch_wait_timeout_s=options.delay_ms / 1e3, max_concurrent_batches=1
        )
        async def decode(self, requests: list[bytes]) -> list[bytes]:
            pictures = await asyncio.to_thread(self._decoder.decode, requests)
            return [each.tobytes() for each in pictures]

        async def __call__(self, request: Request) -> Response:
            return Response(await self.decode(await request.body()), media_type="application/octet-stream")

    return Pairs.bind()  # type: ignore[attr-defined]  # Ray's decorator gives it


def main(options: Options) -> None:
    """Serve until SIGTERM."""
    ended = threading.Event()
    # In Ray's own words: no dashboard, and its object store small, since answers travel through it one by one.
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 << 20, log_to_driver=True)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port}, logging_config={"enable_access_log": False})
    serve.run(application(options), name="pairs", route_prefix="/", blocking=False)
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(Options.parse())
