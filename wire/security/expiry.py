"""When a certificate ends, read off its bytes: of X.509 that is all a service needs, and the standard library reads
the certificates of others only."""

import ssl
from datetime import UTC, datetime
from typing import Final

_END: Final = "-----END CERTIFICATE-----"
_UTC_TIME, _GENERALIZED_TIME, _VERSION = 0x17, 0x18, 0xA0
_FORMATS: Final = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}


def ends(pem: bytes) -> list[float]:
    """Unix times at which some certificates end, in their order.

    pem     one certificate or more, PEM; what stands around them does not matter
    raises  ValueError if it holds none, or one that cannot be read
    """
    texts = pem.decode("ascii", errors="replace").split(_END)[:-1]
    if not texts:
        raise ValueError("no certificate")
    return [_not_after(ssl.PEM_cert_to_DER_cert(text[text.find("-----BEGIN") :] + _END)) for text in texts]


def _not_after(der: bytes) -> float:
    """RFC 5280, 4.1: Certificate { tbs { [0] version, serial, algorithm, issuer, validity { from, to }, ... } }"""
    fields = _items(_items(_items(der)[0][1])[0][1])
    start = 4 if fields[0][0] == _VERSION else 3
    try:
        kind, text = _items(fields[start][1])[1]
        instant = datetime.strptime(text.decode("ascii"), _FORMATS[kind])
    except (IndexError, KeyError):
        raise ValueError("no end in the certificate") from None
    if kind == _UTC_TIME and instant.year >= 2050:  # two digits: 50 is 1950 here, and 2050 to Python
        instant = instant.replace(year=instant.year - 100)
    return instant.replace(tzinfo=UTC).timestamp()


def _items(der: bytes) -> list[tuple[int, bytes]]:
    """What stands one after the other: tags of one byte, and contents. raises ValueError if it is cut off"""
    found, at = list[tuple[int, bytes]](), 0
    while at < len(der):
        if at + 2 > len(der):
            raise ValueError("cut off")
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        if at + length > len(der):
            raise ValueError("cut off")
        found.append((tag, der[at : at + length]))
        at += length
    return found
