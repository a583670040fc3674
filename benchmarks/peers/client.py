"""What a peer is called with: plain HTTP over connections that stay open, Triton's binary HTTP, or gRPC."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

import h11
from grpc import aio

from benchmarks.peers.work import REQUEST_BYTES
from wire.runtime.grpc_kit import CLIENT_OPTIONS

_READ: Final = 1 << 18
Headers = Sequence[tuple[str, str]]


class Caller(Protocol):
    """Sends one pair and waits for its pictures; many at once."""

    async def __call__(self, request: bytes) -> bytes:
        """raises  OSError, RuntimeError or grpc.RpcError if no pictures come"""
        ...

    async def close(self) -> None: ...


class HttpCaller:
    """POST over as many kept connections as there are calls at once."""

    def __init__(self, port: int, path: str, content_type: str = "application/octet-stream") -> None:
        self._port, self._path = port, path
        self._headers = [("host", f"127.0.0.1:{port}"), ("content-type", content_type)]
        self._idle: list[_Connection] = []

    async def __call__(self, request: bytes) -> bytes:
        return (await self.post(request))[1]

    async def post(self, body: bytes, headers: Headers = ()) -> tuple[dict[str, str], bytes]:
        """returns  the answer's headers, lower case, and its body"""
        connection = self._idle.pop() if self._idle else await _Connection.open(self._port)
        try:
            status, told, answer = await connection.post(self._path, [*self._headers, *headers], body)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        if status != 200:
            raise RuntimeError(f"HTTP {status}: {answer[:200].decode(errors='replace')}")
        return told, answer

    async def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class TritonCaller:
    """Triton's own protocol over HTTP, tensors as bytes behind a JSON header."""

    INPUT: Final = "pair"
    OUTPUT: Final = "pictures"
    _LENGTH: Final = "inference-header-content-length"

    def __init__(self, port: int, model: str) -> None:
        self._http = HttpCaller(port, f"/v2/models/{model}/infer")
        tensor = {
            "name": self.INPUT,
            "shape": [1, REQUEST_BYTES],
            "datatype": "UINT8",
            "parameters": {"binary_data_size": REQUEST_BYTES},
        }
        wanted = {"name": self.OUTPUT, "parameters": {"binary_data": True}}
        self._head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()

    async def __call__(self, request: bytes) -> bytes:
        told, answer = await self._http.post(self._head + request, [(self._LENGTH, str(len(self._head)))])
        return answer[int(told[self._LENGTH]) :]

    async def close(self) -> None:
        await self._http.close()


class Base64Caller:
    """JSON with base64 in it: {NAME: [pair]} there, [pictures] back."""

    def __init__(self, port: int, path: str, name: str) -> None:
        self._http = HttpCaller(port, path, content_type="application/json")
        self._name = name

    async def __call__(self, request: bytes) -> bytes:
        body = json.dumps({self._name: [base64.b64encode(request).decode()]}).encode()
        return base64.b64decode(json.loads(await self._http(body))[0])

    async def close(self) -> None:
        await self._http.close()


class GrpcCaller:
    """One unary method that takes and gives bytes as they are, over one HTTP/2 connection."""

    METHOD: Final = "/peers.Pairs/Decode"

    def __init__(self, port: int) -> None:
        self._channel = aio.insecure_channel(f"127.0.0.1:{port}", options=CLIENT_OPTIONS)
        self._call: Any = self._channel.unary_unary(self.METHOD)

    async def __call__(self, request: bytes) -> bytes:
        answer: bytes = await self._call(request)
        return answer

    async def close(self) -> None:
        await self._channel.close()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, port: int) -> "_Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_READ))

    async def post(self, path: str, headers: Headers, body: bytes) -> tuple[int, dict[str, str], bytes]:
        length = [("content-length", str(len(body)))]
        request = h11.Request(method="POST", target=path, headers=[*headers, *length])
        parts = [self._http.send(each) for each in (request, h11.Data(data=body), h11.EndOfMessage())]
        self._writer.write(b"".join(part for part in parts if part))
        await self._writer.drain()
        status, told, answer = 0, dict[str, str](), bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
                told = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                answer += event.data
            elif isinstance(event, h11.ConnectionClosed):
                raise ConnectionResetError("the server hung up")
        self._http.start_next_cycle()
        return status, told, bytes(answer)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_READ))
        return event

    def close(self) -> None:
        self._writer.close()
