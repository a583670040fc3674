"""The gRPC kit: one set of options and limits, a server that is honest about being ready, and a draining shutdown."""

import asyncio
import os
import resource
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import grpc
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from wire.geometry import DEFAULT_SIZE, PictureSize
from wire.runtime import addresses, direct, notify
from wire.runtime.errors import UserError
from wire.runtime.malformed import RefuseMalformed
from wire.runtime.prompt import Prompt
from wire.security.interceptor import Door
from wire.security.keyring import NO_KEYS, Keyring
from wire.security.tokens import Denial

T = TypeVar("T")

MAX_ANSWER: Final = 8 * 2**20
"""Bytes of a message that a client takes: a pair of 512x1024 with its references has 6.3 MB, one of 128x256 0.4 MB."""
MAX_SMALL_ANSWER: Final = 64 * 2**10
"""Bytes of an answer without pictures, such as an acknowledgement, that a client takes. An emulator holds 64 a stream,
and parses them in the event loop of all its cameras: a center that was taken over must not stop it."""
MAX_REQUEST: Final = 256 * 2**10
"""Bytes of a message that a server of pictures of 128x256 takes. The largest legitimate ones: 83 kB (symbols and one
gain each, f32), and 98 kB (a reference). What is larger is refused unread, so that no message costs more than its own
decoding."""
WINDOW: Final = 512 * 2**10
"""Bytes that a client may have on their way, unread, in one stream. All cameras of an emulator share one, and what
does not fit in waits for a round trip: with the usual 64 kB that was the second view of 41 kB, too late for its partner
over any long way. So there is room for twelve. Credit keeps cameras from filling it with old pictures."""
MAX_STREAMS: Final = 256
"""Calls at once on one connection; a camera needs two."""
MAX_CONNECTIONS: Final = 2_048
"""Connections to one server, or half of the files that the process may open if those are fewer; further ones are closed
at once, and those that are open stay. The page may take a quarter of the files: so neither shuts the other out."""
MAX_CALLS: Final = 8_192
"""Calls at once on one server, of all connections: else whoever opens every connection and every call on it, a watch of
the health service say, takes many GB."""
_BESIDE: Final = 32 * 2**10
"""Bytes that a message may have beside its picture or its symbols."""
STATUS_LOST: Final = "Internal error from Core"
"""The line of grpc.aio, with INTERNAL, in place of the server's status where that came while a write was blocked."""
STATUS_LOST_BEYOND: Final = "the center ended the stream while frames were being sent; connect again, its log says why"
"""What an emulator tells an edge, with UNAVAILABLE, where the center's status was lost."""

_LONGEST: Final = "grpc.max_receive_message_length"
_SHARED: Final = [
    ("grpc.http2.bdp_probe", 0),  # else gRPC opens windows as far as it likes: several MB, for whoever fills them
    ("grpc.max_send_message_length", MAX_ANSWER),
    ("grpc.keepalive_timeout_ms", 5_000),
]
CLIENT_OPTIONS: Final = [
    *_SHARED,
    ("grpc.http2.lookahead_bytes", 65_536),  # else buffers swallow seconds of pairs before a slow reader is noticed
    (_LONGEST, MAX_ANSWER),
    direct.CHANNEL_OPTION,
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),  # a container comes back at another address; 30 s by default
]
_ATTEMPT: Final = "grpc.min_reconnect_backoff_ms"
"""How long an attempt to connect may take; a port that nobody listens on is tried again as the backoff says. Plain text
takes two round trips. TLS takes two more, and some milliseconds of a core: twice as long."""
LOCKED_CLIENT_OPTIONS: Final = [*(each for each in CLIENT_OPTIONS if each[0] != _ATTEMPT), (_ATTEMPT, 2_000)]
SERVER_OPTIONS: Final = [
    *_SHARED,
    ("grpc.http2.lookahead_bytes", WINDOW),
    ("grpc.max_concurrent_streams", MAX_STREAMS),
    ("grpc.server_handshake_timeout_ms", 5_000),  # of a socket that says nothing; 120 s by default
    ("grpc.max_connection_idle_ms", 60_000),  # of a client without a call
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # half of what our clients keep
    ("grpc.http2.max_ping_strikes", 2),  # pings that come sooner; one more ends the connection
    ("grpc.so_reuseport", 0),  # two services on one port must fail, not share it
]


def max_request(largest: PictureSize) -> int:
    """Bytes of a message that a server takes, by its largest pictures.

    A reference has 3 bytes a pixel, symbols with one gain each have 2.5.
    """
    return max(MAX_REQUEST, 3 * largest.pixels + _BESIDE)


def most_connections() -> int:
    """How many a server takes of this process; see MAX_CONNECTIONS."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


# Several centers behind one name: the header x-rig-id picks one, so that both views of a rig meet (gRFC A76). Clients
# agree without talking, and a center that dies, or says by its health that it is not ready, moves its own rigs only.
_BY_RIG: Final = (
    "grpc.service_config",
    '{"loadBalancingConfig": [{"ring_hash_experimental": {"requestHashHeader": "x-rig-id"}}],'
    ' "healthCheckConfig": {"serviceName": ""}}',
)


def stands_for_several(address: str) -> bool:
    """Whether it is a gRPC name, such as `dns:///centers:50051`, behind which there may be several servers."""
    return address.startswith(("dns:", "ipv4:", "ipv6:"))


OWN: Final = ("grpc.use_local_subchannel_pool", 1)
"""An option: the connection is no other channel's."""


def connect(address: str, keys: Keyring = NO_KEYS, *further: tuple[str, int]) -> aio.Channel:
    """A channel with our options; connects on first use.

    address  `host:port`, or a gRPC name such as `dns:///centers:50051` that may stand for several servers: then a call
             goes where the hash of its x-rig-id says
    keys     what we show and whom we believe; without, plain text
    further  options
    """
    by_rig = [_BY_RIG] if stands_for_several(address) else []
    if by_rig:  # gRPC reads the variable at each connect, and knows no other way to be told
        os.environ.setdefault("GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY", "true")
    more, credentials = [*by_rig, *further], keys.channel_credentials()
    if credentials is None:
        return aio.insecure_channel(address, options=_with(CLIENT_OPTIONS, more))
    return aio.secure_channel(address, credentials, options=_with(LOCKED_CLIENT_OPTIONS, more))


def _with(options: Sequence[tuple[str, Any]], more: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Options, of which further ones take the place of those of their names."""
    own = {name for name, _ in more}
    return [*(each for each in options if each[0] not in own), *more]


class Connection:
    """The channel to one address for as long as a service lives, by certificates as they are at each call.

    Over a connection that no other channel has: gRPC shares connections between channels to one address, also with one
    that is closed while its last call is still on the way out, and whoever leaves a dead connection for a new one must
    not get it back.
    """

    def __init__(self, address: str, keys: Keyring = NO_KEYS, longest: int = MAX_SMALL_ANSWER) -> None:
        """Connects on first use. longest: bytes of an answer that is taken"""
        self.address, self.keys = address, keys
        self._longest = (_LONGEST, longest)
        self._credentials = keys.channel_credentials()
        self._channel: aio.Channel | None = None

    def channel(self) -> aio.Channel:
        """To begin a call on. Another one when the certificates have changed.

        The former one closes itself once nobody holds it: keep it for as long as the call lives.
        """
        credentials = self.keys.channel_credentials()
        if self._channel is None or credentials is not self._credentials:
            self._credentials = credentials
            self._channel = connect(self.address, self.keys, OWN, self._longest)
        return self._channel

    def leave(self) -> aio.Channel | None:
        """From this moment on calls connect anew. returns the former channel, to be closed; None if there is none"""
        former, self._channel = self._channel, None
        return former

    async def close(self) -> None:
        """Cut it, with its calls; the next call connects anew, whatever becomes of the former connection."""
        if (former := self.leave()) is not None:
            await former.close()


def _server_options(largest: PictureSize) -> list[tuple[str, int]]:
    return [
        *SERVER_OPTIONS,
        (_LONGEST, max_request(largest)),
        ("grpc.max_allowed_incoming_connections", most_connections()),
    ]


class Server:
    """A gRPC server with health and reflection; NOT_SERVING until `ready()`."""

    def __init__(
        self,
        address: str,
        keys: Keyring = NO_KEYS,
        refused: Callable[[Denial], None] = lambda _: None,
        largest: PictureSize = DEFAULT_SIZE,
    ) -> None:
        """Nothing is bound yet.

        address  `host:port` to listen on; port 0 takes a free one
        keys     what we show, and who is let in
        refused  counts who is not
        largest  pictures that it takes; messages are bounded by it
        """
        self.address, self._keys = address, keys
        doors = [Prompt(), Door(keys.book, refused), RefuseMalformed()]
        self.grpc = aio.server(interceptors=doors, options=_server_options(largest), maximum_concurrent_rpcs=MAX_CALLS)
        self._health = health.aio.HealthServicer()
        self._services: list[str] = []

    async def start(self, services: Sequence[str]) -> int:
        """Bind and answer health as NOT_SERVING.

        services  full names that were added to `self.grpc`, such as "vergence.v1.PairService"
        returns   the bound port
        raises    UserError if the address is taken or makes no sense
        """
        self._services = ["", *services]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)
        reflection.enable_server_reflection([*services, "grpc.health.v1.Health", reflection.SERVICE_NAME], self.grpc)
        await self._report(health_pb2.HealthCheckResponse.NOT_SERVING)
        port = self._bind(await asyncio.to_thread(addresses.to_listen_on, self.address))
        await self.grpc.start()
        return port

    async def ready(self) -> None:
        """Health says SERVING from now on, and systemd hears of it."""
        await self._report(health_pb2.HealthCheckResponse.SERVING)
        notify.ready()

    async def leave(self) -> None:
        """First step of a drain: health says NOT_SERVING, streams go on."""
        notify.stopping()
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace: float) -> None:
        """Last step: open streams get `grace` seconds."""
        await self.grpc.stop(grace)

    def _bind(self, places: Sequence[str]) -> int:
        """All of them or none, on one port; where it is 0, on that which the first one gets. raises UserError"""
        port, credentials = 0, self._keys.server_credentials()
        for place in places:
            host, _, wanted = place.rpartition(":")
            at = f"{host}:{port or wanted}"
            try:
                if credentials is None:
                    port = self.grpc.add_insecure_port(at)
                else:
                    port = self.grpc.add_secure_port(at, credentials)
            except RuntimeError:
                raise UserError(f"cannot listen on {at}: gRPC refused it; see the log above") from None
        return port

    async def _report(self, status: Any) -> None:
        for service in self._services:
            await self._health.set(service, status)


class CutOff(Exception):
    """The other side has cancelled the call, or the connection is gone; no status says more."""


async def await_call(operation: Awaitable[T]) -> T:
    """Await an operation of a call, such as its next message.

    CancelledError comes also where the *other* side has cancelled: nobody would be woken by that, because
    asyncio takes it for a task's own wish.

    raises  CutOff in that case, so that only our own cancellation looks like one
    """
    try:
        return await operation
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise CutOff("the stream was cut off") from None


async def abort(context: aio.ServicerContext[Any, Any], code: grpc.StatusCode, problem: Exception) -> NoReturn:
    """End a call with a status and the problem's line."""
    await context.abort(code, str(problem))


async def healthy(address: str, timeout: float, keys: Keyring = NO_KEYS) -> bool:
    """Whether the server at `address` says SERVING within `timeout` seconds."""
    async with connect(address, keys) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its type stubs do not name the methods
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except (TimeoutError, aio.AioRpcError):
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
