import asyncio

import grpc
import pytest

from wire.contract.handshake import StreamRefused, check_rig_name, first_hello
from wire.v1 import symbol_link_service_pb2 as link_pb2

HELLO = link_pb2.TransmitRequest(hello=link_pb2.Hello(rig="lab"))


@pytest.mark.parametrize("name", ["lab", "a", "Rig_7.north-2", "9" * 63])
def test_names_that_are_names(name: str) -> None:
    check_rig_name(name)


@pytest.mark.parametrize(
    "name", ["", "\0", "a\nb", "a\x1b[31m", "x" * 64, "-lab", "lab\n", "la b", "l\u00e4b", "a" * 1_000_000, "${jndi}"]
)
def test_what_is_no_name_is_shown_in_one_short_line(name: str) -> None:
    with pytest.raises(StreamRefused) as refused:
        check_rig_name(name)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    line = str(refused.value)
    assert line.isprintable()
    assert len(line) < 800


async def give(message: link_pb2.TransmitRequest | None, after: float = 0.0) -> link_pb2.TransmitRequest | None:
    await asyncio.sleep(after)
    return message


async def test_the_hello_is_the_first_message() -> None:
    hello = await first_hello(lambda: give(HELLO), 1.0)
    assert hello is not None
    assert hello.rig == "lab"
    assert await first_hello(lambda: give(None), 1.0) is None
    with pytest.raises(StreamRefused, match="the first message must be a Hello; send one"):
        await first_hello(lambda: give(link_pb2.TransmitRequest(frame=link_pb2.SymbolFrame())), 1.0)


async def test_a_hello_that_does_not_come_is_not_waited_for() -> None:
    with pytest.raises(StreamRefused, match=r"no Hello within 0\.05 s; send one first"):
        await first_hello(lambda: give(HELLO, after=5.0), 0.05)
