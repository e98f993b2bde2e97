"""Certificates: who they name, who signed them, and when they are made anew."""

from __future__ import annotations

import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from inaetics.errors import Conflict, InvalidInput
from inaetics.hosts import pki
from inaetics.hosts.certificates import names_of, read_certificate
from inaetics.hosts.cluster import Host, Role
from inaetics.hosts.paths import ClusterPaths

CONTROL = Host(name="worker-1", role=Role.WORKER, address="127.17.8.101", control=True)
WORKER = Host(name="worker-4", role=Role.WORKER, address="127.17.8.104")
BOOTSTRAP = Host(name="bootstrap", role=Role.BOOTSTRAP, address="127.17.8.2")


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    return ClusterPaths(name="demo", state=tmp_path / "demo", run=tmp_path / "run")


def made(paths: ClusterPaths, host: Host) -> Path:
    pki.ensure_host(paths.host(host.name), host, pki.ensure_authorities(paths, "demo"))
    return paths.host(host.name).pki


@pytest.mark.parametrize(
    ("host", "names"),
    [
        (CONTROL, {"agent", "etcd", "api", "node", "registry", "registry-client"}),
        (WORKER, {"agent", "node", "registry-client"}),
        (BOOTSTRAP, {"agent", "etcd", "registry", "registry-client"}),
    ],
    ids=["control host", "worker", "bootstrap"],
)
def test_a_host_has_a_certificate_for_each_thing_it_does_and_no_other(host: Host, names: set[str]) -> None:
    found = {each.common_name.removesuffix(f"-{host.name}") for each in pki.wanted(host)}
    assert found == names


def test_a_server_certificate_names_its_address_loopback_and_the_shared_name(paths: ClusterPaths) -> None:
    certificate = read_certificate((made(paths, CONTROL) / "etcd.pem").read_bytes())
    assert names_of(certificate) == {"127.17.8.101", "127.0.0.1", "localhost", "inaetics"}
    assert certificate.subject.rfc4514_string() == "CN=etcd-worker-1"


def test_node_agents_are_signed_by_an_authority_of_their_own(paths: ClusterPaths) -> None:
    node = read_certificate((made(paths, WORKER) / "node" / "cert.pem").read_bytes())
    assert node.issuer.rfc4514_string() == "CN=inaetics demo nodes-ca"


def test_what_the_api_trusts_does_not_hold_the_nodes_authority(paths: ClusterPaths) -> None:
    place = made(paths, CONTROL)
    assert (place / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 1
    assert (place / "etcd-clients.pem").read_text().count("BEGIN CERTIFICATE") == 2


def test_openssl_accepts_what_is_made(paths: ClusterPaths) -> None:
    place = made(paths, CONTROL)
    context = ssl.create_default_context(cafile=str(place / "ca.pem"))
    context.load_cert_chain(place / "etcd.pem", place / "etcd.key")


def test_keys_are_their_owners_only(paths: ClusterPaths) -> None:
    made(paths, CONTROL)
    files = [path for path in paths.state.rglob("*") if path.is_file()]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_second_time_changes_nothing(paths: ClusterPaths) -> None:
    made(paths, CONTROL)
    before = {path: path.read_bytes() for path in paths.state.rglob("*") if path.is_file()}
    written = pki.ensure_host(paths.host("worker-1"), CONTROL, pki.ensure_authorities(paths, "demo"))
    assert written == []
    assert before == {path: path.read_bytes() for path in paths.state.rglob("*") if path.is_file()}


def test_an_ended_certificate_is_renewed(paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INAETICS_CERTIFICATE_DAYS", "0.0000001")
    place = made(paths, WORKER)
    assert pki.expires(place / "agent.pem") <= datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)
    monkeypatch.delenv("INAETICS_CERTIFICATE_DAYS")
    made(paths, WORKER)
    assert pki.expires(place / "agent.pem") > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=800)


def test_a_certificate_with_a_short_life_is_not_renewed_while_it_is_young(
    paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INAETICS_CERTIFICATE_DAYS", "1")
    place = made(paths, WORKER)
    before = (place / "agent.pem").read_bytes()
    made(paths, WORKER)
    assert (place / "agent.pem").read_bytes() == before


@pytest.mark.parametrize("days", ["", "soon", "0", "-1", "nan", "99999"])
def test_a_life_that_no_certificate_can_have_is_refused(
    paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    monkeypatch.setenv("INAETICS_CERTIFICATE_DAYS", days)
    with pytest.raises(InvalidInput, match="INAETICS_CERTIFICATE_DAYS"):
        made(paths, WORKER)


def test_the_stores_peers_have_an_authority_of_their_own(paths: ClusterPaths) -> None:
    place = made(paths, CONTROL)
    peer = read_certificate((place / "etcd-peer.pem").read_bytes())
    assert peer.issuer.rfc4514_string() == "CN=inaetics demo peers-ca"
    assert (place / "peers-ca.pem").read_text() == (paths.pki / "peers-ca.pem").read_text()


def test_a_running_store_keeps_whom_it_trusts(paths: ClusterPaths) -> None:
    pki.ensure_host(paths.host("worker-1"), CONTROL, pki.ensure_authorities(paths, "demo", running=True))
    assert not (paths.host("worker-1").pki / "etcd-peer.pem").exists()


def test_readers_are_believed_by_the_api_alone(paths: ClusterPaths) -> None:
    place = made(paths, CONTROL)
    certificate, key = pki.issue_reader(paths, "demo", "wall-display")
    reader = read_certificate(certificate.read_bytes())
    authority = read_certificate((paths.pki / "readers-ca.pem").read_bytes())
    reader.verify_directly_issued_by(authority)
    trusting = {path.name for path in place.rglob("*") if authority_in(path, authority)}
    assert trusting == {"api-clients.pem"}
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert pki.readers(paths) == ["wall-display"]


def authority_in(path: Path, authority: x509.Certificate) -> bool:
    return path.is_file() and authority.public_bytes(Encoding.PEM).decode() in path.read_text()


@pytest.mark.parametrize("damage", ["", "not a certificate", None], ids=["empty", "torn", "missing"])
def test_a_damaged_certificate_is_made_anew(paths: ClusterPaths, damage: str | None) -> None:
    file = made(paths, WORKER) / "agent.pem"
    file.unlink()
    if damage is not None:
        file.write_text(damage)
    made(paths, WORKER)
    read_certificate(file.read_bytes())


def test_a_key_of_another_certificate_is_noticed(paths: ClusterPaths) -> None:
    place = made(paths, CONTROL)
    (place / "agent.key").write_bytes((place / "api.key").read_bytes())
    made(paths, CONTROL)
    ssl.create_default_context().load_cert_chain(place / "agent.pem", place / "agent.key")


def test_a_host_of_another_cluster_is_not_believed(paths: ClusterPaths, tmp_path: Path) -> None:
    place = made(paths, WORKER)
    other = ClusterPaths(name="demo", state=tmp_path / "other", run=tmp_path / "run")
    (place / "agent.pem").write_bytes((made(other, WORKER) / "agent.pem").read_bytes())
    (place / "agent.key").write_bytes((other.host("worker-4").pki / "agent.key").read_bytes())
    made(paths, WORKER)
    authority = read_certificate((paths.pki / "ca.pem").read_bytes())
    read_certificate((place / "agent.pem").read_bytes()).verify_directly_issued_by(authority)


def test_a_broken_authority_is_not_replaced_in_silence(paths: ClusterPaths) -> None:
    made(paths, WORKER)
    (paths.pki / "ca.key").write_text("torn")
    with pytest.raises(Conflict, match=r"ca\.pem"):
        pki.ensure_authorities(paths, "demo")
