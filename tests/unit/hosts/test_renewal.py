"""When people are told of certificates that end, and authorities that take over without anybody losing faith."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from inaetics.hosts import pki, renewal
from inaetics.hosts.certificates import read_certificate
from inaetics.hosts.cluster import Cluster
from inaetics.hosts.paths import ClusterPaths

CLUSTER = Cluster(name="demo", subnet="127.17.8", workers=2, control=("worker-1",), created=0.0, id="1")


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    made = ClusterPaths(name="demo", state=tmp_path / "demo", run=tmp_path / "run")
    _write(made)
    return made


def _write(paths: ClusterPaths) -> None:
    authorities = pki.ensure_authorities(paths, "demo", running=True)
    for host in CLUSTER.hosts:
        pki.ensure_host(paths.host(host.name), host, authorities)


def _life(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    monkeypatch.setenv("INAETICS_CERTIFICATE_DAYS", str(days))


def test_every_certificate_is_listed_with_its_end(paths: ClusterPaths) -> None:
    pki.issue_reader(paths, "demo", "wall")
    entries = renewal.inventory(paths, CLUSTER)
    files = {path for path in paths.state.rglob("*") if path.suffix in {".pem", ".cert"}}
    bundles = {"ca.pem", "etcd-clients.pem", "api-clients.pem", "key.pem", "peers-ca.pem", "signers.pem"}
    bundles |= {"registry-clients.pem", "nodes-ca.pem"}
    leaves = {path for path in files if path.name not in bundles}
    assert {entry.file for entry in entries} >= leaves
    assert all(entry.ends == pki.expires(entry.file) for entry in entries)


def test_nothing_is_said_while_all_is_well(paths: ClusterPaths) -> None:
    assert renewal.warning(paths, CLUSTER) is None


@pytest.mark.parametrize(("days", "words"), [(20, "ends in 20 days"), (1e-9, "ends already")])
def test_what_ends_soon_is_named_with_what_helps(
    paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch, days: float, words: str
) -> None:
    _life(monkeypatch, days)
    (paths.host("worker-2").pki / "agent.pem").unlink()
    _write(paths)
    said = renewal.warning(paths, CLUSTER)
    assert said is not None
    assert said.startswith(f"the certificate 'agent-worker-2' of worker-2 {words}")
    assert "inaetics certificates renew)" in said


def test_a_missing_certificate_counts_as_ended(paths: ClusterPaths) -> None:
    (paths.pki / "operator.pem").unlink()
    first = min(
        renewal.inventory(paths, CLUSTER), key=lambda entry: entry.days_left(datetime.datetime.now(datetime.UTC))
    )
    assert (first.name, first.ends) == ("operator", None)


def test_an_ending_authority_needs_more_than_renewal(paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INAETICS_AUTHORITY_DAYS", "20")
    for file in paths.pki.glob("nodes-ca.*"):
        file.unlink()
    _life(monkeypatch, 825)
    _write(paths)
    assert "--authorities" in (renewal.warning(paths, CLUSTER) or "")
    node = pki.expires(paths.host("worker-1").pki / "node" / "cert.pem")
    assert node <= pki.expires(paths.pki / "nodes-ca.pem"), "nothing outlives who signed it"


def test_an_ended_authority_is_replaced_only_while_nobody_runs(
    paths: ClusterPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INAETICS_AUTHORITY_DAYS", "0.0000001")
    for file in paths.pki.glob("ca.*"):
        file.unlink()
    pki.ensure_authorities(paths, "demo", running=True)
    monkeypatch.delenv("INAETICS_AUTHORITY_DAYS")
    ended = (paths.pki / "ca.pem").read_text()
    pki.ensure_authorities(paths, "demo", running=True)
    assert (paths.pki / "ca.pem").read_text() == ended
    pki.ensure_authorities(paths, "demo")
    assert (paths.pki / "ca.pem").read_text() != ended


STEPS: tuple[Callable[[ClusterPaths], None], ...] = (
    lambda paths: pki.introduce_authorities(paths, "demo"),
    pki.enthrone_authorities,
    pki.dismiss_authorities,
)


def _leaf(paths: ClusterPaths) -> x509.Certificate:
    return read_certificate((paths.host("worker-2").pki / "agent.pem").read_bytes())


def _believed(paths: ClusterPaths) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((paths.host("worker-2").pki / "ca.pem").read_bytes())


def _believes(authorities: list[x509.Certificate], leaf: x509.Certificate) -> bool:
    for authority in authorities:
        try:
            leaf.verify_directly_issued_by(authority)
        except (ValueError, InvalidSignature):
            continue
        return True
    return False


def test_neighbouring_steps_of_a_succession_believe_each_other(paths: ClusterPaths) -> None:
    first = leaf, believed = _leaf(paths), _believed(paths)
    for step in STEPS:
        step(paths)
        _write(paths)
        now = _leaf(paths), _believed(paths)
        assert _believes(now[1], leaf)
        assert _believes(believed, now[0])
        assert _believes(now[1], now[0])
        leaf, believed = now
    assert not _believes(believed, first[0])
    assert not _believes(first[1], leaf)


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_a_succession_broken_off_goes_on_where_it_was(paths: ClusterPaths, done: int) -> None:
    old = (paths.pki / "ca.pem").read_text()
    for step in (*STEPS[:done], *STEPS):
        step(paths)
        _write(paths)
    assert (paths.pki / "ca.pem").read_text().count("BEGIN") == 1
    assert old not in (paths.pki / "ca.pem").read_text()
    assert _believes(_believed(paths), _leaf(paths))
    assert not list(paths.pki.glob("*.next.key"))
