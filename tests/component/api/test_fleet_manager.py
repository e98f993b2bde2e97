"""inaetics_fleet_manager against a whole fleet of three machines: scaled up, down, over what fits, and stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inaetics.api.client import FleetClient
from inaetics.api.scale_client import scaling, set_automatic
from inaetics.cli.fleet_manager import fleet_manager
from tests.component.api.live import LiveFleet

FELIX = "[Service]\nExecStart=/bin/felix %i\n[X-Fleet]\nConflicts=felix@*.service provisioning.service\n"
CELIX = "[Service]\nExecStart=/bin/celix %i\n[X-Fleet]\nConflicts=celix@*.service\n"
PROVISIONING = "[Service]\nExecStart=/bin/provisioning\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "provisioning.service").write_text(PROVISIONING)
    (tmp_path / "felix@.container").write_text(FELIX)
    (tmp_path / "celix@.service").write_text(CELIX)
    return tmp_path


def manage(fleet: LiveFleet, *arguments: str) -> Result:
    return CliRunner().invoke(fleet_manager, [f"--endpoint=unix://{fleet.socket}", *arguments], standalone_mode=False)


def start(fleet: LiveFleet, folder: Path, *arguments: str) -> Result:
    done = manage(fleet, "--start", f"--unitFilesPath={folder}", *arguments)
    assert done.exception is None, done.output
    return done


def running(client: FleetClient) -> set[str]:
    return {unit.name.removesuffix(".service") for unit in client.units().units if unit.active == "active"}


def test_up_down_and_stop(fleet: LiveFleet, client: FleetClient, folder: Path) -> None:
    done = start(fleet, folder)
    assert done.return_value == 0
    assert running(client) == {"provisioning", "felix@1", "felix@2", "celix@1", "celix@2"}
    assert "one provisioning server, 2 felix agents, 2 celix agents" in done.stderr
    start(fleet, folder, "--celixAgents=3", "--felixAgents=1")
    assert running(client) == {"provisioning", "felix@1", "celix@1", "celix@2", "celix@3"}
    assert manage(fleet, "--stop").return_value == 0
    assert client.units().units == ()
    assert client.states().states == ()
    assert "nothing to stop" in manage(fleet, "--stop").stderr


def test_who_names_numbers_ends_automatic_scaling(fleet: LiveFleet, client: FleetClient, folder: Path) -> None:
    assert "automatic scaling" not in start(fleet, folder, "--celixAgents=1", "--felixAgents=1").stderr
    set_automatic(client, True)
    assert "automatic scaling is off now" in start(fleet, folder, "--celixAgents=2", "--felixAgents=1").stderr
    assert not scaling(client).automatic


def test_down_returns_once_no_machine_has_what_was_too_many(
    fleet: LiveFleet, client: FleetClient, folder: Path
) -> None:
    start(fleet, folder, "--felixAgents=0", "--celixAgents=2")
    fleet.script.giving_up_s = 0.3
    start(fleet, folder, "--felixAgents=0", "--celixAgents=1")
    assert {state.name for state in client.states().states} == {"provisioning.service", "celix@1.service"}


def test_more_than_fit_wait_with_their_reasons_and_that_is_no_error(
    fleet: LiveFleet, client: FleetClient, folder: Path
) -> None:
    done = start(fleet, folder, "--felixAgents=4", "--celixAgents=1")
    assert done.return_value == 0
    assert "2 of 6 units wait for a machine and start when there is room" in done.stderr
    assert "Unit felix@3.service waits: no machine fits" in done.stderr
    assert {"felix@3.service", "felix@4.service"} == set(client.states().waiting)
    start(fleet, folder, "--felixAgents=2", "--celixAgents=1")
    assert client.states().waiting == ()


def test_a_changed_file_is_taken_and_said(fleet: LiveFleet, client: FleetClient, folder: Path) -> None:
    start(fleet, folder, "--felixAgents=1", "--celixAgents=1")
    (folder / "celix@.service").write_text(CELIX + "# changed\n")
    done = start(fleet, folder, "--felixAgents=1", "--celixAgents=1")
    assert "celix@1.service: its unit file has changed" in done.stderr
    assert client.unit("celix@1.service").text.endswith("# changed\n")
    assert client.unit("celix@.service").text.endswith("# changed\n")


def test_an_agent_that_fails_is_told_and_exits_with_1(fleet: LiveFleet, folder: Path) -> None:
    fleet.report("celix@1.service", "failed", "failed", "exit-code", "no image")
    done = start(fleet, folder, "--felixAgents=1", "--celixAgents=1")
    assert done.return_value == 1
    assert "no image" in done.stderr


def test_status_tells_where_and_the_pages_address(fleet: LiveFleet, client: FleetClient, folder: Path) -> None:
    assert "felix@1.service does not run" in manage(fleet, "--status").output
    start(fleet, folder)
    machine = client.unit("felix@1.service").unit.machine
    assert machine is not None
    shown = manage(fleet, "--status").output
    assert f"Page: http://{machine.address}:8080" in shown
    assert ["felix@1.service", machine.name, machine.address, "active", "running", "-"] in [
        line.split() for line in shown.splitlines()
    ]
    document = json.loads(manage(fleet, "--status", "--output=json").stdout)
    assert document["web"] == f"http://{machine.address}:8080"
    assert len(document["machines"]) == 3
    assert len(document["units"]) == 7
