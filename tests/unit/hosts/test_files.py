"""The host's environment and configurations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inaetics.errors import NotFound
from inaetics.hosts.environment import host_environment, read, to_text
from inaetics.hosts.paths import HostPaths
from inaetics.hosts.services import etcd_config, registry_config
from inaetics.hosts.system_units import system_units
from inaetics.hosts.wrappers import write_commands, write_podman
from inaetics.units.container import ContainerEngine
from inaetics.units.grammar import parse
from inaetics.units.service import check
from tests.unit.hosts.test_cluster import a_cluster


def environment(host: str = "worker-2", outside: dict[str, str] | None = None) -> dict[str, str]:
    cluster = a_cluster()
    paths = HostPaths(name=host, state=Path("/s/demo/hosts") / host, run=Path("/run/inaetics/demo") / host)
    return host_environment(
        cluster, cluster.host(host), paths, machine_id="ab" * 16, python="/venv/bin/python", outside=outside or {}
    )


def test_a_worker_is_told_who_and_where_it_is() -> None:
    found = environment()
    assert found["INAETICS_HOST"] == "worker-2"
    assert found["INAETICS_ADDRESS"] == "127.17.8.102"
    assert found["INAETICS_METADATA"] == "role=inaetics-agent"
    assert found["INAETICS_HOME"] == "/s"
    assert found["INAETICS_ETCD_ENDPOINTS"].split(",")[0] == "https://127.17.8.101:2379"
    assert found["INAETICS_REGISTRY"] == "127.17.8.2:5000"
    assert found["INAETICS_ETCD_SIZE"] == "3"


def test_a_host_is_told_where_images_are_and_who_may_push_them() -> None:
    found = environment("worker-2")
    assert found["INAETICS_REGISTRIES"] == "127.17.8.102:5000,127.17.8.103:5000,127.17.8.101:5000,127.17.8.2:5000"
    assert found["INAETICS_PUSHERS"] == "operator,registry-client-bootstrap"
    assert found["INAETICS_ETCD_MEMBERS"] == ""


def test_a_host_is_told_where_its_supervisor_has_the_directories_of_units() -> None:
    paths = HostPaths(name="worker-2", state=Path("/s/demo/hosts/worker-2"), run=Path("/run/inaetics/demo/worker-2"))
    found = environment("worker-2")
    assert found["INAETICS_UNITS_STATE"] == str(paths.supervisor)
    assert found["INAETICS_UNITS_RUN"] == str(paths.supervisor_run)


def test_bootstrap_takes_no_units() -> None:
    assert environment("bootstrap")["INAETICS_METADATA"] == ""


def test_what_is_outside_stays_outside() -> None:
    outside = {
        "PYTHONPATH": "/x",
        "LD_PRELOAD": "/x.so",
        "SECRET": "x",
        "HOME": "/home/me",
        "INAETICS_LOG_LEVEL": "debug",
    }
    found = environment(outside=outside | {"INAETICS_SUPERVISED": "other", "INAETICS_SHELL": "o", "INAETICS_HOST": "x"})
    assert found.keys().isdisjoint({"PYTHONPATH", "LD_PRELOAD", "SECRET", "INAETICS_SUPERVISED", "INAETICS_SHELL"})
    assert (found["HOME"], found["INAETICS_LOG_LEVEL"], found["INAETICS_HOST"]) == ("/home/me", "debug", "worker-2")


def test_the_path_finds_what_debian_keeps_from_people() -> None:
    assert environment(outside={"PATH": "/mine:/usr/bin"})["PATH"].split(":")[:2] == ["/mine", "/usr/bin"]
    assert "/usr/sbin" in environment(outside={"PATH": "/usr/bin"})["PATH"].split(":")


@pytest.mark.parametrize(
    "value", ["plain", "", "two words", 'a "quote"', r"back\slash", "$HOME `x`", " edges ", "it's", "#no"]
)
def test_a_value_survives_the_file(tmp_path: Path, value: str) -> None:
    file = tmp_path / "host.env"
    file.write_text(to_text({"BEFORE": "1", "VALUE": value, "AFTER": "2"}))
    assert read(file) == {"BEFORE": "1", "VALUE": value, "AFTER": "2"}


def test_a_host_never_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="inaetics up"):
        read(tmp_path / "host.env")


@pytest.mark.parametrize("host", ["bootstrap", "worker-1", "worker-5"])
def test_every_system_unit_is_one_our_supervisor_understands(host: str) -> None:
    directory = Path(__file__).parents[3] / "src/inaetics/hosts/system"
    for name in system_units(a_cluster().host(host)):
        check(parse((directory / name).read_text(), source=name))


@pytest.mark.parametrize("name", ["etcd.service", "fleet-api.service", "fleet-agent.service"])
def test_what_the_fleet_itself_needs_comes_before_what_it_runs(name: str) -> None:
    text = (Path(__file__).parents[3] / "src/inaetics/hosts/system" / name).read_text()
    (weight,) = [line.removeprefix("CPUWeight=") for line in text.splitlines() if line.startswith("CPUWeight=")]
    assert int(weight) > 100, "what a unit weighs that says nothing"


def test_system_units_by_role() -> None:
    cluster = a_cluster()
    registry = ("registry.service", "registry-gate.service")
    assert system_units(cluster.host("bootstrap")) == ("discovery.service", *registry)
    assert system_units(cluster.host("worker-3")) == (
        *("etcd-join.service", "etcd.service"),
        *("fleet-api.service", "fleet-agent.service"),
        *registry,
    )
    assert system_units(cluster.host("worker-4")) == ("fleet-agent.service",)


def test_etcd_trusts_nobody_without_a_certificate() -> None:
    members = {"worker-2": "https://127.17.8.102:2380", "worker-1": "https://127.17.8.101:2380"}
    text = etcd_config(name="worker-1", address="127.17.8.101", data=Path("/d"), pki=Path("/p"), members=members)
    config = json.loads(text)
    for side in ("client-transport-security", "peer-transport-security"):
        assert config[side]["client-cert-auth"] is True
    assert config["peer-transport-security"]["trusted-ca-file"] == "/p/ca.pem"
    assert config["client-transport-security"]["trusted-ca-file"] == "/p/etcd-clients.pem"
    assert config["initial-cluster"] == "worker-1=https://127.17.8.101:2380,worker-2=https://127.17.8.102:2380"
    assert {key: url for key, url in config.items() if key.endswith("-urls") and not url.startswith("https://")} == {}
    assert config["auto-compaction-mode"] == "periodic"


def test_the_registry_is_reached_through_its_gate_only() -> None:
    config = json.loads(registry_config(socket=Path("/run/r.sock"), data=Path("/d"), secret="s"))
    assert (config["http"]["net"], config["http"]["addr"]) == ("unix", "/run/r.sock")


def test_the_registry_keeps_no_memory_of_what_its_garbage_collector_removes() -> None:
    assert "cache" not in json.loads(registry_config(socket=Path("/r"), data=Path("/d"), secret="s"))["storage"]


def test_podman_in_a_hosts_shell_is_the_hosts_own(tmp_path: Path) -> None:
    paths = HostPaths(name="worker-1", state=tmp_path / "a b", run=tmp_path / "run")
    engine = ContainerEngine(command=("podman", "--root", "/r o"))
    write_podman(paths, engine, registries=["127.17.8.2:5000", "127.17.8.101:5000"])
    write_podman(paths, engine, registries=["127.17.8.2:5000", "127.17.8.101:5000"])
    write_commands(paths)
    assert "exec podman --root '/r o' \"$@\"" in (paths.bin / "podman").read_text()
    assert (paths.bin / "podman").stat().st_mode & 0o100
    certificates = paths.state / "home/.config/containers/certs.d/127.17.8.2:5000"
    assert certificates.readlink() == paths.pki / "registry-client"
    assert certificates.with_name("127.17.8.101:5000").readlink() == paths.pki / "registry-client"
