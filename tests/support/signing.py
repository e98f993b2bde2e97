"""Authorities and signers for tests: files of a cluster that is not there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inaetics.bundles.signature import Signature, sign
from inaetics.hosts.certificates import Authority, new_certificate, new_key, pem_of_certificate, pem_of_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """An authority (`anchors`) with one certificate of it and its key."""

    authority: Authority
    anchors: Path
    certificate: Path
    key: Path

    def sign(self, sha256: str) -> Signature:
        return sign(sha256, certificate=self.certificate, key=self.key)

    def another(self, name: str, *, signs_code: bool = True, days: float = 10) -> Signing:
        """A second certificate of the same authority."""
        return _signer(self.authority, self.anchors, self.anchors.parent, name, signs_code=signs_code, days=days)


def signing(directory: Path, name: str = "signer", *, authority: str = "inaetics test ca") -> Signing:
    """Make an authority and a signer of it below `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    key = new_key()
    certificate = new_certificate(authority, key, days=20)
    pem = pem_of_certificate(certificate)
    anchors = directory / "signers.pem"
    anchors.write_text(pem)
    made = Authority(certificate=certificate, key=key, pem=pem)
    return _signer(made, anchors, directory, name, signs_code=True, days=10)


def _signer(
    authority: Authority, anchors: Path, directory: Path, name: str, *, signs_code: bool, days: float
) -> Signing:
    key = new_key()
    certificate = new_certificate(name, key, days=days, issuer=authority, signs_code=signs_code)
    certificate_file, key_file = directory / f"{name}.pem", directory / f"{name}.key"
    certificate_file.write_text(pem_of_certificate(certificate))
    key_file.write_text(pem_of_key(key))
    return Signing(authority=authority, anchors=anchors, certificate=certificate_file, key=key_file)
