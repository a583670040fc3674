"""A grpc.aio server without batching: one unary method, one pair a call, a thread for each lane of the decoder."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc import aio

from benchmarks.peers.servers.options import Options
from benchmarks.peers.work import PairDecoder


async def serve(options: Options) -> None:
    """Until cancelled."""
    decoder = PairDecoder(options.codec, options.threads)
    threads = ThreadPoolExecutor(decoder.at_once)

    def pictures(request: bytes) -> bytes:
        painted: bytes = decoder.decode([request])[0].tobytes()
        return painted

    async def decode(request: bytes, _: Any) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(threads, pictures, request)

    server = aio.server()
    methods: dict[str, Any] = {"Decode": grpc.unary_unary_rpc_method_handler(decode)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("peers.Pairs", methods),))
    server.add_insecure_port(f"127.0.0.1:{options.port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(Options.parse()))
