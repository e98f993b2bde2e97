"""Which hosts a cluster has, and what it refuses to be."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from inaetics.errors import Conflict, Forbidden, InaeticsError, InvalidInput, NotFound
from inaetics.hosts.cluster import Cluster, Role, check_subnet, control_of, free_subnet, load, save
from inaetics.hosts.paths import ClusterPaths, cluster_paths, natural
from inaetics.hosts.settle import Request, settle


def a_cluster(workers: int = 5, *, made_with: int | None = None) -> Cluster:
    control = control_of(made_with or workers)
    return Cluster(name="demo", subnet="127.17.8", workers=workers, control=control, created=1.0, id="c0ffee")


def test_hosts_are_bootstrap_and_workers_with_the_original_addresses() -> None:
    hosts = a_cluster().hosts
    assert [(host.name, host.address) for host in hosts][:3] == [
        ("bootstrap", "127.17.8.2"),
        ("worker-1", "127.17.8.101"),
        ("worker-2", "127.17.8.102"),
    ]
    assert hosts[0].role is Role.BOOTSTRAP
    assert len(hosts) == 6


@pytest.mark.parametrize(
    ("workers", "control"),
    [
        (1, ["worker-1"]),
        (2, ["worker-1"]),
        (3, ["worker-1", "worker-2", "worker-3"]),
        (9, ["worker-1", "worker-2", "worker-3"]),
    ],
)
def test_control_hosts_are_an_odd_number(workers: int, control: list[str]) -> None:
    assert [host.name for host in a_cluster(workers).control_hosts] == control


def test_without_a_bootstrap_host_the_first_control_host_takes_its_part() -> None:
    cluster = replace(a_cluster(), bootstrap=False)
    assert [host.name for host in cluster.hosts] == [f"worker-{number}" for number in range(1, 6)]
    assert (cluster.builder.name, cluster.registry, cluster.discovery) == ("worker-1", "127.17.8.101:5000", "")
    assert cluster.registries == tuple(f"127.17.8.10{number}:5000" for number in (1, 2, 3))
    with pytest.raises(NotFound, match=r"its hosts are worker-1 … worker-5"):
        cluster.host("bootstrap")


@pytest.mark.parametrize(
    ("host", "ends"),
    [
        ("bootstrap", ["2", "101", "102", "103"]),
        ("worker-2", ["102", "103", "101", "2"]),
        ("worker-4", ["102", "103", "101", "2"]),
        ("worker-5", ["103", "101", "102", "2"]),
    ],
)
def test_a_host_pulls_from_its_own_registry_then_the_others_and_the_bootstraps_last(host: str, ends: list[str]) -> None:
    cluster = a_cluster()
    assert list(cluster.registries_for(cluster.host(host))) == [f"127.17.8.{end}:5000" for end in ends]


def test_a_cluster_made_before_there_was_a_choice_has_a_bootstrap_host(tmp_path: Path) -> None:
    paths = ClusterPaths(name="demo", state=tmp_path / "demo", run=tmp_path / "run")
    save(paths, a_cluster())
    record = json.loads(paths.file.read_text())
    del record["bootstrap"]
    paths.file.write_text(json.dumps(record))
    assert load(paths).bootstrap


@pytest.mark.parametrize("bootstrap", [True, False])
def test_a_cluster_keeps_what_it_was_made_with(bootstrap: bool) -> None:
    made = settle(None, "demo", Request(bootstrap=bootstrap), {}).cluster
    assert made.bootstrap is bootstrap
    assert settle(made, "demo", Request(workers=6, bootstrap=not bootstrap), {}).cluster.bootstrap is bootstrap


def test_an_unknown_host_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="worker-1 … worker-5"):
        a_cluster().host("worker-6")


def test_a_cluster_survives_its_file(tmp_path: Path) -> None:
    paths = ClusterPaths(name="demo", state=tmp_path / "demo", run=tmp_path / "run")
    save(paths, a_cluster(7, made_with=1))
    assert load(paths) == a_cluster(7, made_with=1)


def test_another_users_cluster_is_said_to_be_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(Forbidden, match="cluster 'demo' is another user's"):
        load(ClusterPaths(name="demo", state=tmp_path, run=tmp_path / "run"))


def test_a_torn_cluster_file_says_how_to_go_on(tmp_path: Path) -> None:
    paths = ClusterPaths(name="demo", state=tmp_path, run=tmp_path / "run")
    paths.file.write_text('{"name": "de')
    with pytest.raises(Conflict, match="inaetics destroy"):
        load(paths)


@pytest.mark.parametrize("subnet", ["127.17", "127.17.8.0", "10.0.0", "127.300.1", "127.0.0", "127.017.8", "a.b.c", ""])
def test_a_subnet_is_three_numbers_below_127(subnet: str) -> None:
    with pytest.raises(InvalidInput, match=r"such as 127\.17\.8"):
        check_subnet(subnet)


def test_a_subnet_may_be_written_with_its_mask() -> None:
    assert check_subnet("127.17.9.0/24") == "127.17.9"


def test_the_first_subnet_that_nobody_has_is_free() -> None:
    assert free_subnet({"127.17.8": "demo", "127.17.9": "other"}) == "127.17.10"


@pytest.mark.parametrize("name", ["", "../demo", "Demo", "-x", "a" * 32, "a/b", "a b"])
def test_a_cluster_name_cannot_lead_out_of_its_directory(name: str) -> None:
    with pytest.raises(InvalidInput, match="small letters"):
        cluster_paths(name)


def test_worker_10_comes_after_worker_2() -> None:
    assert sorted(["worker-10", "worker-2", "bootstrap"], key=natural) == ["bootstrap", "worker-2", "worker-10"]


def test_up_alone_makes_five_workers_on_a_free_subnet() -> None:
    made = settle(None, "second", Request(), {"127.17.8": "demo"}).cluster
    assert (made.workers, made.subnet, len(made.control)) == (5, "127.17.9", 3)


def test_up_again_keeps_what_there_is() -> None:
    assert settle(a_cluster(4), "demo", Request(), {"127.17.8": "demo"}).cluster == a_cluster(4)


def test_a_cluster_that_grows_keeps_its_control_hosts() -> None:
    grown = settle(a_cluster(1), "demo", Request(workers=5), {}).cluster
    assert (grown.workers, grown.control) == (5, ("worker-1",))


def test_workers_go_only_when_it_is_said_twice() -> None:
    with pytest.raises(Conflict, match="up --workers 3 --remove"):
        settle(a_cluster(), "demo", Request(workers=3), {})
    settled = settle(a_cluster(), "demo", Request(workers=3, remove=True), {})
    assert [host.name for host in settled.surplus] == ["worker-4", "worker-5"]
    assert settled.cluster.workers == 3


@pytest.mark.parametrize(
    ("request_", "present", "error", "words"),
    [
        pytest.param(
            Request(workers=2, remove=True), a_cluster(), Conflict, "worker-3 hold the store", id="control stays"
        ),
        pytest.param(Request(subnet="127.17.9"), a_cluster(), Conflict, "lives on 127.17.8", id="subnet stays"),
        pytest.param(Request(hosts=("worker-9",)), a_cluster(), NotFound, "no host 'worker-9'", id="host must exist"),
        pytest.param(
            Request(hosts=("worker-1",)), None, NotFound, "no cluster 'demo'", id="no host before its cluster"
        ),
        pytest.param(
            Request(subnet="127.17.7"), None, Conflict, "belongs to cluster 'other'", id="one cluster a subnet"
        ),
    ],
)
def test_up_refuses(request_: Request, present: Cluster | None, error: type[InaeticsError], words: str) -> None:
    with pytest.raises(error, match=words):
        settle(present, "demo", request_, {"127.17.7": "other"})


@pytest.mark.parametrize("workers", [0, -1, 151])
def test_a_cluster_has_1_to_150_workers(workers: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 150"):
        Request(workers=workers)


def test_hosts_and_a_number_of_workers_do_not_go_together() -> None:
    with pytest.raises(InvalidInput, match="not both"):
        Request(hosts=("worker-1",), workers=3)
