"""A development authority and what it signs: EC P-256, as every TLS library of today takes it."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 3650
_LONGEST_HOST: Final = 253
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*(?![0-9]+$){_LABEL}")
"""The last part is no number: what looks like an address and is none would be called by nobody."""
_EARLIER: Final = timedelta(days=1)
"""Certificates count from then on: clocks of camera hosts are not always right."""


@dataclass(frozen=True, slots=True)
class Signed:
    """PEM texts of a certificate and its key."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs certificates of services and of people."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @staticmethod
    def new(now: datetime | None = None) -> "Authority":
        key, name = ec.generate_private_key(ec.SECP256R1()), _name("vergence development authority")
        builder = _builder(name, name, key, AUTHORITY_DAYS, now).add_extension(x509.BasicConstraints(True, 0), True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        return Authority(builder.add_extension(usage, True).sign(key, hashes.SHA256()), key)

    @staticmethod
    def read(certificate: bytes, key: bytes) -> "Authority":
        """From PEM texts. raises ValueError if they are none, no pair, or the key has a password"""
        try:
            made = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, password=None)
        except (TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(str(error)) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != made.public_key():
            raise ValueError("no pair")
        return Authority(made, private)

    def ended(self, now: datetime | None = None) -> bool:
        """Whether it counts no more. now: for tests"""
        return self.certificate.not_valid_after_utc <= (now or datetime.now(UTC))

    def pem(self) -> Signed:
        return _pem(self.certificate, self.key)

    def sign(self, name: str, hosts: Sequence[str], days: float, now: datetime | None = None) -> Signed:
        """A new key and a certificate for it.

        name   whom it is for, in words
        hosts  names and addresses by which it is called; none for who only calls others
        days   that it counts, but no longer than the authority
        now    for tests
        raises ValueError if the authority has ended
        """
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
        builder = (
            _builder(_name(name), self.certificate.subject, key, days, now, self.certificate.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(False, None), True)
            .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), True)
            .add_extension(x509.ExtendedKeyUsage(uses), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), False)
        return _pem(builder.sign(self.key, hashes.SHA256()), key)


def hosts_of(certificate: bytes) -> list[str]:
    """Names and addresses by which the owner of a certificate, in PEM, may be called; none for who only calls others.

    raises  ValueError if it is none
    """
    read = x509.load_pem_x509_certificate(certificate)
    try:
        names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error
    return [str(name.value) for name in names]


def is_host(text: str) -> bool:
    """Whether a certificate can name it: a name of DNS, which may begin with `*.`, or an address without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= _LONGEST_HOST and bool(_HOST.fullmatch(text))
    return "%" not in text


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    days: float,
    now: datetime | None,
    until: datetime | None = None,
) -> x509.CertificateBuilder:
    now = now or datetime.now(UTC)
    end = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(end if until is None else min(end, until))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Signed:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Signed(certificate.public_bytes(serialization.Encoding.PEM), private)
