"""When a certificate ends, against what the library that made it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from deploy.local.authority import Authority
from wire.security.expiry import ends


def test_it_is_what_the_certificate_says(certs: Path) -> None:
    for file in certs.rglob("*.pem"):
        if file.name != "key.pem":
            data = file.read_bytes()
            assert ends(data) == [x509.load_pem_x509_certificate(data).not_valid_after_utc.timestamp()]


@pytest.mark.parametrize("year", [1990, 2026, 2049, 2051, 2200])
def test_years_with_two_digits_and_with_four(year: int) -> None:
    """RFC 5280: up to 2049 as UTCTime, from 2050 on as GeneralizedTime."""
    end = datetime(year, 7, 1, 12, tzinfo=UTC)
    made = Authority.new(end - timedelta(days=2)).sign("test", (), 1.0, end - timedelta(days=1))
    assert ends(made.certificate) == [end.timestamp()]


def test_of_a_chain_each_end_is_told() -> None:
    authority = Authority.new()
    soon, later = authority.sign("a", (), 3.0).certificate, authority.sign("b", (), 30.0).certificate
    assert ends(later + b"some words\n" + soon) == ends(later) + ends(soon)


@pytest.mark.parametrize("cut", [0, 30, 200, 400])
def test_what_is_no_certificate_is_told(cut: int) -> None:
    pem = Authority.new().pem().certificate
    for text in (pem[:cut], pem[:cut] + b"\n-----END CERTIFICATE-----\n"):
        with pytest.raises(ValueError, match=r"."):
            ends(text)
