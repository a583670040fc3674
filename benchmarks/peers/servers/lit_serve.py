"""LitServe: one worker process behind its FastAPI front, batches collected by its own loop.

Bodies are bytes in both directions, where its examples have JSON: that would cost it 30 % more bytes and their parsing.
"""

from typing import Annotated

import litserve
from fastapi import Body, Response

from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import PairDecoder

Request = Annotated[bytes, Body(media_type="application/octet-stream")]


class PairsApi(litserve.LitAPI):
    """Bytes of pairs in, bytes of pictures out."""

    def __init__(self, options: Options) -> None:
        batch = {"max_batch_size": options.batch, "batch_timeout": options.delay_ms / 1e3} if options.batch > 1 else {}
        super().__init__(**batch)
        self._options = options

    def setup(self, device: str) -> None:
        self._decoder = PairDecoder(self._options.codec, self._options.threads)

    def decode_request(self, request: Request) -> bytes:
        return request

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, x: list[bytes] | bytes) -> list[bytes] | bytes:
        pictures = [each.tobytes() for each in self._decoder.decode([x] if isinstance(x, bytes) else x)]
        return pictures[0] if isinstance(x, bytes) else pictures

    def unbatch(self, output: list[bytes]) -> list[bytes]:
        return output

    def encode_response(self, output: bytes) -> Response:
        return Response(output, media_type="application/octet-stream")


if __name__ == "__main__":
    told = Options.parse()
    server = litserve.LitServer(PairsApi(told), accelerator="cpu", fast_queue=told.variant == "zmq")
    server.run(host="127.0.0.1", port=told.port, generate_client_file=False, log_level="warning")
