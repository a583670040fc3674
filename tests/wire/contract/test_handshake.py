import asyncio
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import pytest

from wire.contract.handshake import (
    MOST_PENDING_OF_ONE,
    STATUS,
    HelloReader,
    Refusal,
    StreamRefused,
    check,
    check_size,
)
from wire.geometry import LARGEST_SIZE, PictureSize
from wire.security import caller
from wire.security.caller import Caller
from wire.security.tokens import Principal, Role
from wire.v1 import symbol_link_service_pb2 as link_pb2
from wire.v1 import types_pb2


def hello(**fields: object) -> link_pb2.Hello:
    return link_pb2.Hello(**{"rig": "lab", "view": types_pb2.VIEW_LEFT} | fields)  # type: ignore[arg-type]


def first(message: link_pb2.TransmitRequest | None) -> Callable[[], Awaitable[link_pb2.TransmitRequest | None]]:
    async def receive() -> link_pb2.TransmitRequest | None:
        return message

    return receive


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rig": ""}, "name"),
        ({"rig": "a\nb"}, "name"),
        ({"rig": "x" * 64}, "name"),
        ({"view": types_pb2.VIEW_UNSPECIFIED}, "contract"),
        ({"frame_rate": 0.01}, "contract"),
        ({"frame_rate": 1e9}, "contract"),
        ({"frame_rate": math.nan}, "contract"),
        ({"height": 128}, "contract"),
        ({"width": 256}, "contract"),
        ({"height": 120, "width": 256}, "contract"),
        ({"height": 528, "width": 1024}, "contract"),
        ({"height": 2**32 - 1, "width": 2**32 - 1}, "contract"),
    ],
)
def test_a_hello_that_breaks_the_contract_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(StreamRefused) as refused:
        check(hello(**fields))
    assert refused.value.reason == reason
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("rate", [0.0, 0.1, 30.0, 240.0])
def test_a_hello_that_holds_it_passes(rate: float) -> None:
    check(hello(frame_rate=rate))


EVERYBODY = Caller(None, lambda _: None)


@pytest.fixture
def everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door without a book, as around every servicer."""
    monkeypatch.setattr(caller, "CALLER", ContextVar("caller", default=EVERYBODY))


async def test_without_a_door_around_it_no_stream_is_taken() -> None:
    """Whoever forgets the door must not be let in by that."""
    with pytest.raises(LookupError):
        await HelloReader().read(first(link_pb2.TransmitRequest(hello=hello())))


@pytest.mark.usefixtures("everybody")
async def test_a_stream_begins_with_a_hello_within_a_time() -> None:
    request = link_pb2.TransmitRequest(hello=hello())
    assert await HelloReader().read(first(request)) == request.hello
    for message in (None, link_pb2.TransmitRequest(), link_pb2.TransmitRequest(frame=link_pb2.SymbolFrame())):
        with pytest.raises(StreamRefused, match="Hello"):
            await HelloReader().read(first(message))
    with pytest.raises(StreamRefused, match=r"no Hello within 0.01 s"):
        await HelloReader(seconds=0.01).read(asyncio.get_running_loop().create_future)


@pytest.mark.usefixtures("everybody")
async def test_a_hello_keeps_nothing_that_is_large() -> None:
    """It lives as long as its stream, with whatever is in it that nobody reads."""
    stuffed = link_pb2.TransmitRequest(hello=hello(codec_hash="x" * 5_000))
    unknown = link_pb2.TransmitRequest.FromString(
        link_pb2.TransmitRequest(hello=hello()).SerializeToString() + b"\xfa\x7f\x88\x27" + bytes(5_000)
    )
    for message in (stuffed, unknown):
        with pytest.raises(StreamRefused, match="send at most 4096") as refused:
            await HelloReader().read(first(message))
        assert refused.value.reason == "contract"


@pytest.mark.usefixtures("everybody")
async def test_streams_without_a_hello_are_bounded() -> None:
    reader, came = HelloReader(most=1), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(reader.read(lambda: came))
    await asyncio.sleep(0)
    request = link_pb2.TransmitRequest(hello=hello())
    with pytest.raises(StreamRefused) as refused:
        await reader.read(first(request))
    assert refused.value.reason is Refusal.FULL
    came.set_result(request)
    await waiting
    assert await reader.read(first(request)) == request.hello


async def test_one_token_does_not_take_the_place_of_all() -> None:
    reader, came = HelloReader(), asyncio.get_running_loop().create_future()

    async def read(name: str) -> link_pb2.Hello:
        caller.CALLER.set(Caller(Principal(name, Role.CAMERA, "lab"), lambda _: None))
        return await reader.read(lambda: came)

    waiting = [asyncio.create_task(read("stolen")) for _ in range(MOST_PENDING_OF_ONE)]
    await asyncio.sleep(0)
    with pytest.raises(StreamRefused, match="8 streams of 'stolen' have not said Hello yet") as refused:
        await asyncio.create_task(read("stolen"))
    assert refused.value.reason is Refusal.FULL
    other = asyncio.create_task(read("honest"))
    await asyncio.sleep(0)
    came.set_result(link_pb2.TransmitRequest(hello=hello()))
    assert [each.rig for each in await asyncio.gather(*waiting, other)] == ["lab"] * 9
    assert not reader._share._of


def test_every_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Refusal)


@pytest.mark.parametrize(
    ("fields", "size"),
    [({}, "128x256"), ({"height": 128, "width": 256}, "128x256"), ({"height": 256, "width": 512}, "256x512")],
)
def test_the_size_of_a_stream_is_what_its_hello_says(fields: dict[str, object], size: str) -> None:
    check(hello(**fields))
    assert str(check_size(hello(**fields), LARGEST_SIZE, "largest_size")) == size


@pytest.mark.parametrize("size", [(256, 528), (272, 512), (512, 1024)])
def test_pictures_above_the_limit_are_refused_with_what_to_do(size: tuple[int, int]) -> None:
    height, width = size
    with pytest.raises(StreamRefused) as refused:
        check_size(hello(height=height, width=width), PictureSize(256, 512), "links.largest_size of the center")
    assert refused.value.reason is Refusal.SIZE
    assert str(refused.value) == (
        f"pictures of {height}x{width} are sent, 256x512 is the most here; set size of the edge, or raise"
        " links.largest_size of the center"
    )
