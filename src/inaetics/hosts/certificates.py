"""X.509 by way of `cryptography`, imported only when a certificate is really read or made: it costs 60 ms.

Keys are P-256. Values in, values out: this module touches no file.
"""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

SHARED_NAME = "inaetics"
"""A DNS name in every server certificate: clients with several endpoints check for it, whichever answers."""

CLOCK_SKEW = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority in memory."""

    certificate: x509.Certificate
    """The one that signs."""
    key: EllipticCurvePrivateKey
    pem: str
    """Whom to trust: this authority and, while one takes over from another, that one too."""


def new_key() -> EllipticCurvePrivateKey:
    """A key on the curve P-256."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def new_certificate(
    common_name: str,
    key: EllipticCurvePrivateKey,
    *,
    days: float,
    issuer: Authority | None = None,
    address: str | None = None,
    signs_code: bool = False,
) -> x509.Certificate:
    """Sign a certificate for `key`: without `issuer` an authority's own; with `address` one that may also serve.

    One that `signs_code` does that and nothing else: it opens no connection.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days)
    if issuer:
        ends = min(ends, issuer.certificate.not_valid_after_utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(ends)
    )
    for extension, critical in _extensions(key, signer, authority=issuer is None, address=address, code=signs_code):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, SHA256())


def _extensions(
    key: EllipticCurvePrivateKey, signer: EllipticCurvePrivateKey, *, authority: bool, address: str | None, code: bool
) -> list[tuple[x509.ExtensionType, bool]]:
    """Every extension with whether it is critical. The key identifiers are what strict verifiers ask for."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=authority, path_length=0 if authority else None), True),
        (_key_usage(authority=authority), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    ]
    if not authority:
        connects = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if address else [])]
        found.append((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING] if code else connects), False))
    if address:
        addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in _addresses(address)]
        names = [*addresses, x509.DNSName("localhost"), x509.DNSName(SHARED_NAME)]
        found.append((x509.SubjectAlternativeName(names), False))
    return found


def _addresses(address: str) -> tuple[str, ...]:
    # 127.0.0.1: on loopback every connection comes from it, whatever host made it, and etcd checks its peers' source.
    return (address, "127.0.0.1")


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def describes(
    certificate_pem: bytes, key_pem: bytes, common_name: str, *, issuer: Authority, address: str | None, days: int
) -> bool:
    """Whether this pair is what would be made now, and still holds for `days` or a third of its life.

    A torn or foreign one is not.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        certificate, key = read_certificate(certificate_pem), read_key(key_pem)
        certificate.verify_directly_issued_by(issuer.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return (
        certificate.public_key() == key.public_key()
        and not is_old(certificate, days=days)
        and certificate.subject.rfc4514_string() == f"CN={common_name}"
        and names_of(certificate) == ({*_addresses(address), "localhost", SHARED_NAME} if address else set())
    )


def is_old(certificate: x509.Certificate, *, days: int) -> bool:
    """Whether it ends within `days`, and within a third of its life."""
    ends = certificate.not_valid_after_utc
    life = ends - certificate.not_valid_before_utc - CLOCK_SKEW
    left = ends - datetime.datetime.now(datetime.UTC)
    return left <= min(datetime.timedelta(days=days), life / 3)


def names_of(certificate: x509.Certificate) -> set[str]:
    """Every address and DNS name the certificate serves under; empty for a client's."""
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    dns = extension.get_values_for_type(x509.DNSName)
    return {*dns, *(str(each) for each in extension.get_values_for_type(x509.IPAddress))}


def read_authority(certificate_pem: str, key_pem: bytes) -> Authority:
    """The key says which of the certificates signs; raises `ValueError` or `TypeError` for what is no authority."""
    from cryptography import x509

    key = read_key(key_pem)
    for certificate in x509.load_pem_x509_certificates(certificate_pem.encode()):
        if certificate.public_key() == key.public_key():
            return Authority(certificate=certificate, key=key, pem=certificate_pem)
    raise ValueError("its key belongs to another certificate")


def read_certificate(pem: bytes) -> x509.Certificate:
    """Raises `ValueError` for what is none."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem)


def read_key(pem: bytes) -> EllipticCurvePrivateKey:
    """Raises `ValueError` for what is none, `TypeError` for another kind of key."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise TypeError(f"not an elliptic curve key: {type(key).__name__}")
    return key


def pem_of_key(key: EllipticCurvePrivateKey) -> str:
    """The key as PKCS #8, not encrypted: its file is for its owner only."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def pem_of_certificate(certificate: x509.Certificate) -> str:
    """The certificate as files hold it."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()
