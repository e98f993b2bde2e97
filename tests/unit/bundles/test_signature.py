"""A signature counts only when a signer of the cluster's authority made it, and for this archive."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inaetics.bundles.signature import Signature, sign, verify
from inaetics.errors import InvalidInput
from tests.support.signing import signing

SHA = "ab" * 32


def test_what_the_signer_signed_is_verified_and_names_it(tmp_path: Path) -> None:
    ours = signing(tmp_path)

    assert verify(SHA, ours.sign(SHA), anchors=ours.anchors) == "signer"


def test_several_authorities_may_be_trusted_while_one_takes_over(tmp_path: Path) -> None:
    old, new = signing(tmp_path / "old"), signing(tmp_path / "new")
    old.anchors.write_text(old.anchors.read_text() + new.anchors.read_text())

    assert verify(SHA, new.sign(SHA), anchors=old.anchors) == "signer"


def test_what_is_not_signed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not signed"):
        verify(SHA, None, anchors=signing(tmp_path).anchors)


def test_a_signature_of_another_archive_is_refused(tmp_path: Path) -> None:
    ours = signing(tmp_path)

    with pytest.raises(InvalidInput, match="of another archive"):
        verify(SHA, ours.sign("cd" * 32), anchors=ours.anchors)


def test_a_signer_of_another_cluster_is_refused_also_under_the_same_names(tmp_path: Path) -> None:
    ours, theirs = signing(tmp_path / "ours"), signing(tmp_path / "theirs")

    with pytest.raises(InvalidInput, match="whom this cluster does not know"):
        verify(SHA, theirs.sign(SHA), anchors=ours.anchors)


def test_a_certificate_of_the_cluster_that_is_for_connections_does_not_sign(tmp_path: Path) -> None:
    ours = signing(tmp_path)
    host = ours.another("agent-w1", signs_code=False)

    with pytest.raises(InvalidInput, match="'agent-w1', which is not for signing"):
        verify(SHA, host.sign(SHA), anchors=ours.anchors)


def test_an_ended_certificate_does_not_sign(tmp_path: Path) -> None:
    ours = signing(tmp_path)
    ended = ours.another("elder", days=-0.02)

    with pytest.raises(InvalidInput, match="ended at"):
        verify(SHA, ended.sign(SHA), anchors=ours.anchors)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"value": "no base64 !"}, id="value"),
        pytest.param({"value": ""}, id="empty value"),
        pytest.param(
            {"certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, id="certificate"
        ),
        pytest.param({"certificate": "ë"}, id="no ascii"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    ours = signing(tmp_path)
    good = ours.sign(SHA)
    bad = msgspec.convert(msgspec.to_builtins(good) | change, Signature)

    with pytest.raises(InvalidInput):
        verify(SHA, bad, anchors=ours.anchors)


def test_a_key_of_another_certificate_cannot_sign(tmp_path: Path) -> None:
    ours = signing(tmp_path)
    other = ours.another("other")

    with pytest.raises(InvalidInput, match="is not the key of"):
        sign(SHA, certificate=ours.certificate, key=other.key)
