"""Triton through PyTriton: Triton's own front and dynamic batcher in C++, the decoder in this process."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import ANSWER_BYTES, REQUEST_BYTES, PairDecoder


def main(options: Options) -> None:
    """Serve until a signal."""
    decoder = PairDecoder(options.codec, options.threads)

    @batch
    def infer(pair: NDArray[np.uint8]) -> dict[str, Any]:
        return {"pictures": decoder.decode(list(pair)).reshape(len(pair), ANSWER_BYTES)}

    batcher = DynamicBatcher(max_queue_delay_microseconds=round(options.delay_ms * 1e3))
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=options.port,
        allow_grpc=False,
        allow_metrics=False,
        log_verbose=0,
        exit_on_error=True,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="pairs",
            infer_func=infer,
            inputs=[Tensor(name="pair", dtype=np.uint8, shape=(REQUEST_BYTES,))],
            outputs=[Tensor(name="pictures", dtype=np.uint8, shape=(ANSWER_BYTES,))],
            config=ModelConfig(max_batch_size=options.batch, batcher=batcher, batching=options.batch > 1),
            strict=True,
        )
        triton.serve()


if __name__ == "__main__":
    main(Options.parse())
