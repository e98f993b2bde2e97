"""What clients of a registry share: addresses, certificates that cannot be used, and words that help."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from inaetics.containers.distribution import host_and_port, registry_context, unanswered, words_of
from inaetics.containers.registry import Registry
from inaetics.containers.replicate_http import Peer
from inaetics.errors import InvalidInput, Unavailable

ADDRESS = "127.44.0.2:5000"


def test_an_address_is_taken_apart() -> None:
    assert host_and_port(ADDRESS) == ("127.44.0.2", 5000)


@pytest.mark.parametrize("address", ["", "127.44.0.2", ":5000", "127.44.0.2:", "127.44.0.2:http"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(InvalidInput, match=f"HOST:PORT, not '{address}'"):
        Peer(address, Path())


@pytest.mark.parametrize("lacking", ["ca.crt", "client.cert", "client.key"])
def test_a_peer_without_certificates_cannot_be_asked(tmp_path: Path, lacking: str) -> None:
    for name in ("ca.crt", "client.cert", "client.key"):
        if name != lacking:
            (tmp_path / name).write_text("")
    with pytest.raises(Unavailable, match=f"cannot ask the registry at {ADDRESS}.*{lacking}"):
        Peer(ADDRESS, tmp_path).manifest("inaetics/felix-agent", "latest")


def test_so_is_every_other_client_and_damaged_certificates(tmp_path: Path) -> None:
    for name in ("ca.crt", "client.cert", "client.key"):
        (tmp_path / name).write_text("torn")
    with pytest.raises(Unavailable, match=r"client\.cert"):
        Registry(ADDRESS, tmp_path)
    with pytest.raises(Unavailable, match=r"client\.cert"):
        registry_context(ADDRESS, tmp_path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError("refused"), "does not answer: refused (is its host up"),
        (ssl.SSLError("no"), "(is it the registry of this cluster?)"),
        (TimeoutError(), "does not answer: TimeoutError"),
    ],
)
def test_silence_says_what_may_help(error: OSError, words: str) -> None:
    assert words in str(unanswered(ADDRESS, error))


def test_a_registrys_words_are_passed_on_but_not_all() -> None:
    assert words_of(b" denied \n") == "denied"
    assert len(words_of(b"x" * 5000)) == 200
