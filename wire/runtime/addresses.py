"""What an address stands for: every host that a name gives, and whether two addresses meet in one socket."""

import errno
import socket
from typing import Final

from wire.runtime.errors import UserError, cause

_ANY: Final = {"0.0.0.0", "::", "[::]", "*", ""}
_NOT_HERE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""A host without IPv6 still has ::1 in its table of names."""


def split(address: str) -> tuple[str, int]:
    """Host without brackets, and port. raises UserError if it is not host:port"""
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise UserError(f"cannot listen on {address}: write the address as host:port, such as 127.0.0.1:50051")
    return host.removeprefix("[").removesuffix("]"), int(port)


def to_listen_on(address: str) -> list[str]:
    """Every address, as host:port, that a server must bind so that it is reached by its name.

    A server of gRPC is content with one that it can bind: beside another service on 127.0.0.1 it would be ready on ::1
    only, and `localhost` would lead to either.

    raises  UserError that names what is taken, or the name that leads nowhere
    """
    host, port = split(address)
    if host in _ANY:
        _is_free(socket.AF_INET, "0.0.0.0", port, address)
        return [address]
    try:
        places = _look_up(host, port)
    except _NoHost:
        raise UserError(f"cannot listen on {address}: no host is called {host}; set an address of this host") from None
    found = [_join(place, port) for family, place in places if _is_free(family, place, port, _join(place, port))]
    if not found:
        raise UserError(f"cannot listen on {address}: it is no address of this host; set one that is, or 0.0.0.0")
    return found


def bind(host: str, port: int, what: str, backlog: int) -> list[socket.socket]:
    """Listening sockets at every address that a name gives, all on one port, or none.

    port    0 takes one that is free at the first address
    what    is served there, for the error, such as "metrics"
    raises  UserError if one is taken, or none is an address of this host
    """
    problem, bound = f"cannot serve {what} on {host}:{port}", list[socket.socket]()
    try:
        for family, place in _places(host, port):
            at = (place, bound[0].getsockname()[1] if bound else port)
            both = place == "::" and socket.has_dualstack_ipv6()
            try:
                bound.append(socket.create_server(at, family=family, backlog=backlog, dualstack_ipv6=both))
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    line = f"{problem}: {cause(error)}; stop what uses the port or set another one"
                    raise UserError(line) from None
        if not bound:
            raise UserError(f"cannot serve {what} on {host}:{port}: it is no address of this host; set one that is")
    except _NoHost:
        raise UserError(f"cannot serve {what} on {host}:{port}: no host is called so; set an address of it") from None
    except UserError:
        for each in bound:
            each.close()
        raise
    return bound


def meets(address: str, listening: str, port: int) -> bool:
    """Whether a client of `address` reaches the server that listens on `listening`.

    port  that the server is bound to; `listening` may say 0
    """
    try:
        host, wanted = split(address)
        if wanted != port:
            return False
        places = {place for _, place in _look_up(host, wanted)}
        own, _ = split(listening)
        if own in _ANY:
            return any(_is_ours(place) for place in places)
        return bool(places & {place for _, place in _look_up(own, port)})
    except (UserError, _NoHost):
        return False  # what leads nowhere, or is a name that only gRPC knows, does not lead here


def _is_free(family: int, place: str, port: int, shown: str) -> bool:
    """False if the place is not one of this host. raises UserError if the port is taken"""
    try:
        with socket.create_server((place, port), family=family):
            return True
    except OSError as error:
        if error.errno in _NOT_HERE:
            return False
        line = f"cannot listen on {shown}: {cause(error)}; stop what uses the port or set another one"
        raise UserError(line) from None


class _NoHost(Exception):
    """A name that leads nowhere."""


def _look_up(host: str, port: int) -> list[tuple[int, str]]:
    """Families and addresses of a name. raises _NoHost"""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _NoHost from None
    return list(dict.fromkeys((family, str(place[0])) for family, _, _, _, place in found))


def _places(host: str, port: int) -> list[tuple[int, str]]:
    """Families and addresses to listen on. raises _NoHost"""
    if host in _ANY:
        return [(socket.AF_INET6, "::") if ":" in host else (socket.AF_INET, "0.0.0.0")]
    return _look_up(host, port)


def _is_ours(place: str) -> bool:
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((place, 0))
    except OSError:
        return False
    return True


def _join(place: str, port: int) -> str:
    return f"[{place}]:{port}" if ":" in place else f"{place}:{port}"
