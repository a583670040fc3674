import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wire.runtime import addresses, grpc_kit
from wire.runtime.errors import UserError


@contextmanager
def taken(host: str = "127.0.0.1") -> Iterator[int]:
    """Another service on a free port of one address."""
    with socket.create_server((host, 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def two_places(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`localhost` leads to two addresses, whether or not this host has IPv6."""
    places = ["127.0.0.2", "127.0.0.1"]
    look_up = socket.getaddrinfo

    def found(host: str, port: int, *family: int, **kind: int) -> object:
        if host != "localhost":
            return look_up(host, port, *family, **kind)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, port)) for place in places]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return places


async def test_a_name_is_served_on_every_address_that_it_gives(two_places: list[str]) -> None:
    server = grpc_kit.Server("localhost:0")
    port = await server.start([])
    await server.ready()
    for place in two_places:
        assert await grpc_kit.healthy(f"{place}:{port}", timeout=2)
    await server.stop(0)


@pytest.mark.usefixtures("two_places")
async def test_a_name_of_which_one_address_is_taken_is_refused() -> None:
    with (
        taken() as port,
        pytest.raises(UserError, match=rf"cannot listen on 127\.0\.0\.1:{port}: address already in use"),
    ):
        await grpc_kit.Server(f"localhost:{port}").start([])


async def test_everywhere_is_refused_where_the_port_is_taken() -> None:
    with taken() as port, pytest.raises(UserError, match=f"cannot listen on 0.0.0.0:{port}: address already in use"):
        await grpc_kit.Server(f"0.0.0.0:{port}").start([])


def test_a_page_is_bound_at_every_address_of_its_name(two_places: list[str]) -> None:
    """`localhost` is 127.0.0.1 and ::1: a browser may try either."""
    bound = addresses.bind("localhost", 0, "the page", 8)
    try:
        assert [each.getsockname()[0] for each in bound] == two_places
        assert len({each.getsockname()[1] for each in bound}) == 1
        for place in two_places:
            socket.create_connection((place, bound[0].getsockname()[1]), timeout=5).close()
    finally:
        for each in bound:
            each.close()


@pytest.mark.usefixtures("two_places")
def test_a_page_is_bound_at_all_of_them_or_none() -> None:
    line = r"cannot serve metrics on localhost:\d+: address already in use; stop what"
    with taken() as port:
        with pytest.raises(UserError, match=line):
            addresses.bind("localhost", port, "metrics", 8)
        socket.create_server(("127.0.0.2", port)).close()  # it was given back


def test_what_is_no_address_of_this_host_serves_nothing() -> None:
    with pytest.raises(UserError, match=r"cannot serve the page on 192\.0\.2\.1:1: it is no address of this host"):
        addresses.bind("192.0.2.1", 1, "the page", 8)
    with pytest.raises(UserError, match=r"cannot serve the page on no\.invalid:1: no host is called so; set"):
        addresses.bind("no.invalid", 1, "the page", 8)


def test_every_address_of_both_kinds_is_one_socket() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this host has no IPv6")
    [bound] = addresses.bind("::", 0, "the page", 8)
    with bound:
        for place in ("127.0.0.1", "::1"):
            socket.create_connection((place, bound.getsockname()[1]), timeout=5).close()


def test_an_address_of_another_host_cannot_be_listened_on() -> None:
    with pytest.raises(UserError, match=r"cannot listen on 192\.0\.2\.1:1: it is no address of this host"):
        addresses.to_listen_on("192.0.2.1:1")


def test_a_name_that_leads_nowhere_is_told() -> None:
    with pytest.raises(UserError, match=r"no host is called nobody\.invalid"):
        addresses.to_listen_on("nobody.invalid:1")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:abc", "127.0.0.1:99999", "127.0.0.1:", "h:\u0661"])
def test_an_address_without_a_port_says_how_to_write_it(address: str) -> None:
    with pytest.raises(UserError, match="write the address as host:port"):
        addresses.to_listen_on(address)


@pytest.mark.parametrize(
    ("address", "listening", "port", "meet"),
    [
        ("127.0.0.1:5", "127.0.0.1:5", 5, True),
        ("127.0.0.1:5", "127.0.0.1:0", 5, True),
        ("127.0.0.1:5", "0.0.0.0:5", 5, True),
        ("localhost:5", "127.0.0.1:5", 5, True),
        ("127.0.0.1:6", "127.0.0.1:5", 5, False),
        ("192.0.2.1:5", "0.0.0.0:5", 5, False),
        ("127.0.0.1:5", "127.0.0.2:5", 5, False),
        ("nobody.invalid:5", "0.0.0.0:5", 5, False),
        ("dns:centers:5", "127.0.0.1:5", 5, False),
    ],
)
def test_whether_a_client_reaches_a_server(address: str, listening: str, port: int, meet: bool) -> None:
    assert addresses.meets(address, listening, port) is meet
