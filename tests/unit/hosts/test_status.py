"""The object that scripts rely on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inaetics.api.wire import MachineRef, UnitEntry
from inaetics.cli.host_commands.cmd_status import show
from inaetics.hosts.observe import HostState, Observation
from inaetics.hosts.status import shape
from inaetics.hosts.system_units import system_units
from inaetics.supervisor.protocol import Active, UnitStatus
from tests.unit.hosts.test_cluster import a_cluster

CLUSTER = a_cluster(1)
FOUR = MachineRef(id="m4", name="worker-4", address="127.17.8.104")


def seen(name: str, units: dict[str, Active] | None, *, processes: bool = True) -> Observation:
    host = CLUSTER.host(name)
    statuses = None if units is None else {unit: unit_status(unit, active) for unit, active in units.items()}
    return Observation(host=host, processes=processes, units=statuses, silence="refused", wanted=system_units(host))


def unit_status(name: str, active: Active) -> UnitStatus:
    message = "exit code 1" if active is Active.FAILED else None
    return UnitStatus(
        name=name, load="loaded", active=active, sub="x", result="success", content_hash="", since=0.0, message=message
    )


def all_active(name: str) -> Observation:
    return seen(name, dict.fromkeys(system_units(CLUSTER.host(name)), Active.ACTIVE))


def entry(name: str, **fields: Any) -> UnitEntry:
    return UnitEntry(name=name, hash="", desired="launched", current="launched", **fields)


ALL = {"bootstrap": all_active("bootstrap"), "worker-1": all_active("worker-1")}


def test_the_documented_object() -> None:
    units = [
        entry("felix@1.service", machine=FOUR, active="active", sub="running"),
        entry("felix@9.service", reason="full"),
    ]
    units.append(entry("felix@.service"))
    assert shape(CLUSTER, ALL, units, Path("/run/s")) == {
        "cluster": "demo",
        "hosts": [
            {"name": "bootstrap", "role": "bootstrap", "address": "127.17.8.2", "state": "running"},
            {"name": "worker-1", "role": "worker", "address": "127.17.8.101", "state": "running"},
        ],
        "units": [
            {"name": "felix@1.service", "machine": "worker-4", "active": "active", "sub": "running"},
            {"name": "felix@9.service", "machine": None, "active": "inactive", "sub": "dead", "reason": "full"},
        ],
        "web": "http://127.17.8.104:8080",
        "provisioning": None,
        "socket": "/run/s",
    }


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(entry("felix@1.service", machine=FOUR, active="activating", sub="start"), id="starts"),
        pytest.param(entry("felix@1.service", reason="full"), id="nowhere"),
        pytest.param(entry("felix@2.service", machine=FOUR, active="active", sub="running"), id="another"),
    ],
)
def test_there_is_no_page_while_felix_1_does_not_run(unit: UnitEntry) -> None:
    assert shape(CLUSTER, ALL, [unit], None)["web"] is None


def test_the_page_of_provisioning_is_named_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    there = entry("provisioning.service", machine=FOUR, active="active", sub="running")
    found = shape(CLUSTER, ALL, [there], Path("/run/s"))
    assert found["provisioning"] == "http://127.17.8.104:8080"
    show(found)
    assert "\nprovisioning  http://127.17.8.104:8080\nsocket        /run/s\n" in capsys.readouterr().out


def test_without_an_api_the_rest_is_told() -> None:
    found = shape(CLUSTER, ALL, [], None, "units are unknown: nobody answers")
    assert (found["units"], found["socket"], found["web"]) == ([], None, None)
    assert found["message"] == "units are unknown: nobody answers"


def test_states_of_a_host() -> None:
    fine = dict.fromkeys(system_units(CLUSTER.host("worker-1")), Active.ACTIVE)
    assert seen("worker-1", fine).state is HostState.RUNNING
    assert seen("worker-1", fine | {"etcd.service": Active.ACTIVATING}).state is HostState.STARTING
    assert seen("worker-1", fine | {"etcd.service": Active.FAILED}).state is HostState.DEGRADED
    assert seen("worker-1", {"etcd.service": Active.ACTIVE}).state is HostState.DEGRADED
    assert seen("worker-1", None).state is HostState.DEGRADED
    assert seen("worker-1", None, processes=False).state is HostState.HALTED


def test_trouble_is_told_in_words() -> None:
    fine = dict.fromkeys(system_units(CLUSTER.host("worker-1")), Active.ACTIVE)
    assert seen("worker-1", fine | {"etcd.service": Active.FAILED}).trouble == "etcd.service is failed (x): exit code 1"
    words = "its supervisor does not answer: refused (start it again: inaetics up worker-1)"
    assert seen("worker-1", None).trouble == words
    assert seen("worker-1", fine).trouble is None
    assert seen("worker-1", None, processes=False).trouble is None
