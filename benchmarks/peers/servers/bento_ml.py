"""BentoML: one service process whose adaptive batching learns how long a batch takes.

Its endpoints that batch take no raw bodies, so pairs and pictures travel as base64 in JSON:
less than its arrays in JSON.
"""

import base64
import os
import shlex
import sys
from typing import Final

import bentoml

from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import PairDecoder

VARIABLE: Final = "PEERS_OPTIONS"
"""The command line, for the worker process that imports this module by its name."""


def service(options: Options) -> type:
    """What `bentoml serve` serves."""

    @bentoml.service(workers=1, traffic={"timeout": 60})
    class Pairs:
        def __init__(self) -> None:
            self._decoder = PairDecoder(options.codec, options.threads)

        # Its latency is the limit for a whole request, answered with 503 beyond; the wait for company it learns.
        @bentoml.api(batchable=True, max_batch_size=max(2, options.batch), max_latency_ms=round(options.delay_ms))
        def decode(self, pairs: list[str]) -> list[str]:
            pictures = self._decoder.decode([base64.b64decode(each) for each in pairs])
            return [base64.b64encode(each.tobytes()).decode() for each in pictures]

    return Pairs


def main(options: Options) -> None:
    """Become `bentoml serve`."""
    os.environ[VARIABLE] = shlex.join(options.words())
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    words = ["serve", f"{__spec__.name}:Pairs", "--host", "127.0.0.1", "--port", str(options.port)]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *words])


if __name__ == "__main__":
    main(Options.parse())
elif VARIABLE in os.environ:
    Pairs = service(Options.parse(shlex.split(os.environ[VARIABLE])))
