"""Who made an archive: signatures by certificates of the cluster's authority.

Signed is the archive's SHA-256 (its hex digits, as ASCII text) with ECDSA P-256 and SHA-256. The certificate travels
with the signature; it counts when one of the anchors signed it, it is for signing code, and it holds now.
`cryptography` is imported only when something is signed or checked: it costs 60 ms.
"""

from __future__ import annotations

import base64
import binascii
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inaetics.errors import InvalidInput

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

RENEW = "sign it anew: inaetics bundle push"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """`certificate` is the signer's, as PEM; `value` the signature, DER in base64."""

    certificate: str
    value: str


def sign(sha256: str, *, certificate: Path, key: Path) -> Signature:
    """Sign an archive's hash with the key of `certificate`. Raises `InvalidInput` for files that are no such pair."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    pem = _read(certificate)
    private = load_pem_private_key(_read(key), password=None)
    if not isinstance(private, EllipticCurvePrivateKey) or private.public_key() != _one(pem, certificate).public_key():
        raise InvalidInput(f"cannot sign: {key} is not the key of {certificate}")
    value = private.sign(sha256.encode("ascii"), ECDSA(SHA256()))
    return Signature(certificate=pem.decode("ascii"), value=base64.b64encode(value).decode("ascii"))


def verify(sha256: str, signature: Signature | None, *, anchors: Path) -> str:
    """Check who signed the archive of this hash; returns the signer's common name. `anchors` holds certificates as PEM.

    Raises `InvalidInput` when it is not signed, or by nobody the anchors vouch for, or the signature fits another
    archive, or its certificate is for something else, ended, or has not begun.
    """
    if signature is None:
        raise InvalidInput(f"it is not signed (sha256 {sha256[:16]}…; {RENEW})")
    certificate = _signer(signature)
    name = _name(certificate)
    _check_issuer(certificate, name, anchors)
    _check_use(certificate, name)
    _check_time(certificate, name)
    _check_value(sha256, signature, certificate, name)
    return name


def _signer(signature: Signature) -> Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(signature.certificate.encode("ascii"))
    except ValueError as error:  # also what is no ASCII
        raise InvalidInput(f"its signature carries no certificate that can be read: {error}") from error


def _check_issuer(certificate: Certificate, name: str, anchors: Path) -> None:
    from cryptography import x509

    try:
        known = x509.load_pem_x509_certificates(_read(anchors))
    except ValueError as error:
        raise InvalidInput(f"cannot read the certificates of who may sign, {anchors}: {error}") from error
    if not any(_issued(certificate, anchor) for anchor in known):
        raise InvalidInput(
            f"it is signed by {name!r} of {certificate.issuer.rfc4514_string()!r}, whom this cluster does not know "
            f"(only certificates of its own authority count; {RENEW})"
        )


def _issued(certificate: Certificate, anchor: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(anchor)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_use(certificate: Certificate, name: str) -> None:
    """A host's certificate of the same authority must not sign software."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    if ExtendedKeyUsageOID.CODE_SIGNING not in uses:
        raise InvalidInput(f"it is signed with the certificate of {name!r}, which is not for signing code")


def _check_time(certificate: Certificate, name: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > ends:
        raise InvalidInput(f"it is signed with a certificate of {name!r} that ended at {ends:%Y-%m-%d %H:%M} ({RENEW})")
    if now < begins:
        raise InvalidInput(f"it is signed with a certificate of {name!r} that begins at {begins:%Y-%m-%d %H:%M}")


def _check_value(sha256: str, signature: Signature, certificate: Certificate, name: str) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    public = certificate.public_key()
    if not isinstance(public, EllipticCurvePublicKey):
        raise InvalidInput(f"it is signed with a key of {name!r} that is not of the kind we know (ECDSA)")
    try:
        value = base64.b64decode(signature.value, validate=True)
        public.verify(value, sha256.encode("ascii"), ECDSA(SHA256()))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise InvalidInput(f"its signature by {name!r} is of another archive (sha256 is {sha256[:16]}…)") from error


def _one(pem: bytes, path: Path) -> Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise InvalidInput(f"cannot read the certificate {path}: {error}") from error


def _name(certificate: Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from error
