"""How often a wrong token may be tried. Pure: no clock, no network."""

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

MOST_CLIENTS: Final = 1024
"""That are remembered; one more forgets the one that failed longest ago."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Attempts:
    """Failed logins of each client, and of all together, in two token buckets.

    Guessing 256 random bits is hopeless at any rate; this bounds what it counts, and what it writes into the log.
    Whoever is logged in, has a right token, or sends one with each request, is not touched by it.

    of_client, in_all  failures in one go
    every, every_all   seconds after which one more may be made, of a client and of all
    """

    def __init__(self, of_client: int = 5, every: float = 10.0, in_all: int = 100, every_all: float = 1.0) -> None:
        self._most, self._every = of_client, every
        self._most_of_all, self._every_all = in_all, every_all
        self._clients: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(float(in_all), 0.0)

    def wait(self, client: str, now: float) -> float:
        """Seconds until this client may try again; 0.0 is now.

        client  its IP address; of IPv6 the whole /64 counts as one
        now     seconds of a clock that never goes back
        """
        own = self._clients.get(_network(client))
        waits = [_wait(self._all, self._most_of_all, self._every_all, now)]
        if own is not None:
            waits.append(_wait(own, self._most, self._every, now))
        return max(waits)

    def failed(self, client: str, now: float) -> None:
        """A wrong token of this client."""
        name = _network(client)
        own = self._clients.pop(name, None) or _Bucket(float(self._most), now)
        _refill(own, self._most, self._every, now)
        _refill(self._all, self._most_of_all, self._every_all, now)
        own.left, self._all.left = max(0.0, own.left - 1.0), max(0.0, self._all.left - 1.0)
        self._clients[name] = own
        if len(self._clients) > MOST_CLIENTS:
            self._clients.popitem(last=False)


def _refill(bucket: _Bucket, most: int, every: float, now: float) -> None:
    bucket.left, bucket.at = min(float(most), bucket.left + (now - bucket.at) / every), now


def _wait(bucket: _Bucket, most: int, every: float, now: float) -> float:
    left = min(float(most), bucket.left + (now - bucket.at) / every)
    return max(0.0, (1.0 - left) * every)


def _network(client: str) -> str:
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address):
        return client
    return str(address.ipv4_mapped or int(address) >> 64)
