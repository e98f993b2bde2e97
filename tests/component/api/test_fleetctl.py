"""fleetctl against a whole fleet: what it prints, what it exits with, and that it never waits without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from inaetics.api.client import FleetClient
from inaetics.cli.common import show_error
from inaetics.cli.fleetctl import fleetctl, two_dashes
from inaetics.errors import InaeticsError
from tests.component.api.live import LiveFleet
from tests.support.eventually import eventually

TEXT = "[Unit]\nDescription=Says hello\n\n[Service]\nExecStart=/bin/true\n"
ALONE = TEXT + "\n[X-Fleet]\nConflicts=alone@*.service\n"


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The printed table, as awk sees it."""
        return [line.split() for line in self.out.splitlines()]


Run = Callable[..., Done]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.service").write_text(TEXT)
    (tmp_path / "alone@.container").write_text(ALONE)
    return tmp_path


@pytest.fixture
def run(fleet: LiveFleet, folder: Path) -> Run:
    runner = CliRunner()

    def call(*arguments: str) -> Done:
        """Run fleetctl as its program does: errors of ours are shown, and give the exit code."""
        words = two_dashes(["--endpoint", f"unix://{fleet.socket}", *arguments])
        with runner.isolation() as (out, err, _):
            try:
                result = fleetctl.main(words, "fleetctl", standalone_mode=False)
            except InaeticsError as error:
                result = show_error(error)
            return Done(result if isinstance(result, int) else 0, out.getvalue().decode(), err.getvalue().decode())

    return call


def machines_of(client: FleetClient) -> dict[str, str]:
    return {machine.name: f"{machine.id[:8]}.../{machine.address}" for machine in client.machines()}


def test_list_machines_has_the_originals_columns(run: Run, fleet: LiveFleet) -> None:
    done = run("list-machines")
    assert done.rows[0] == ["MACHINE", "IP", "METADATA"]
    assert done.rows[1] == ["00000000...", fleet.addresses[0], "role=inaetics-agent"]
    assert run("list-machines", "-no-legend", "--full").rows[0][0] == f"{1:032x}"


def test_start_a_file_then_see_it_run(run: Run, client: FleetClient) -> None:
    started = run("start", "hello.service")
    where = started.out.split(" on ")[1].strip()
    assert started.code == 0
    assert started.out == f"Unit hello.service launched on {where}\n"
    assert where in machines_of(client).values()
    listed = run("list-units")
    assert listed.rows == [
        ["UNIT", "MACHINE", "ACTIVE", "SUB"],
        ["hello.service", where, "active", "running"],
    ]
    assert "\t" in listed.out
    assert listed.err == ""


def test_list_units_fields_and_json(run: Run) -> None:
    run("start", "hello")
    assert run("list-units", "--fields=unit,active", "--no-legend").rows == [["hello.service", "active"]]
    (state,) = json.loads(run("list-units", "--output", "json").out)
    assert (state["name"], state["active"], state["machine"]["name"][:7]) == ("hello.service", "active", "worker-")
    refused = run("list-units", "--fields=unit,activ")
    assert (refused.code, refused.out) == (2, "")
    assert "no such field: 'activ' (did you mean 'active'?)" in refused.err


def test_list_unit_files_has_the_originals_columns(run: Run) -> None:
    run("submit", "hello.service")
    assert run("list-unit-files").rows[0] == ["UNIT", "HASH", "DSTATE", "STATE", "TARGET"]
    assert run("list-unit-files", "--no-legend").rows[0][2:] == ["inactive", "inactive", "-"]
    run("start", "hello")
    row = run("list-unit-files", "--no-legend").rows[0]
    assert len(row[1]) == 7
    assert row[2:4] == ["launched", "launched"]


def test_instances_come_from_a_template_beside_and_one_too_many_says_why_it_waits(run: Run) -> None:
    done = run("start", "alone@{1..4}")
    assert done.code == 3
    assert done.out.count(" launched on ") == 3
    assert "waits: no machine fits" in done.err
    assert "waiting for a machine: alone@" in run("list-units").err
    (reason,) = [row for row in run("list-unit-files", "--fields=unit,reason", "--no-legend").rows if row[1] != "-"]
    explained = run("explain", reason[0])
    assert explained.code == 0
    assert [row[:4] for row in explained.rows if row and row[0].startswith(("MACHINE", "worker-"))] == [
        ["MACHINE", "FITS", "cordoned", "Conflicts"],
        ["worker-1", "no", "ok", "fails"],
        ["worker-2", "no", "ok", "fails"],
        ["worker-3", "no", "ok", "fails"],
    ]
    assert "one more machine" in explained.out


def test_instances_come_from_a_submitted_template(run: Run, folder: Path) -> None:
    assert run("submit", "alone@.container").out == "Submitted alone@.service\n"
    (folder / "alone@.container").unlink()
    assert run("start", "alone@1").code == 0
    assert run("cat", "alone@1").out == ALONE


def test_a_block_that_takes_too_long_says_what_it_waits_for(run: Run, fleet: LiveFleet) -> None:
    fleet.report("hello.service", "activating", "start")
    done = run("start", "hello", "--block-attempts=1")
    assert done.code == 1
    assert "timed out waiting for unit hello.service to be launched: activating (start)" in done.err


def test_a_global_unit_is_started_and_stopped_without_waiting_and_says_so(run: Run, folder: Path) -> None:
    (folder / "all.service").write_text(TEXT + "\n[X-Fleet]\nGlobal=true\n")
    where = "(how it is on each: fleetctl status all.service)\n"
    for verb, before in (("load", ""), ("start", ""), ("stop", ""), ("start", "--no-block"), ("unload", "--no-block")):
        done = run(verb, "all", *before.split())
        assert (done.code, done.out) == (0, f"Triggered global unit all.service {verb}\n")
        assert done.err.endswith(where), done.err
        assert ("for 3 of 3 machines" in done.err) == (verb in ("load", "start") and not before)
    (folder / "none.service").write_text(TEXT + "\n[X-Fleet]\nGlobal=true\nMachineMetadata=gpu=big\n")
    nowhere = run("start", "none")
    assert (nowhere.code, nowhere.out) == (3, "Triggered global unit none.service start\n")
    assert "waits: no machine fits" in nowhere.err
    assert "has no gpu" in nowhere.err


def test_no_block_returns_at_once(run: Run, fleet: LiveFleet) -> None:
    fleet.report("hello.service", "activating", "start")
    done = run("start", "--no-block", "hello")
    assert (done.code, done.out) == (0, "Triggered unit hello.service start\n")


def test_a_unit_that_fails_is_told_in_its_machines_words(run: Run, fleet: LiveFleet) -> None:
    fleet.report("hello.service", "failed", "failed", "exit-code", "image 'x' is not in any registry")
    done = run("start", "hello")
    assert done.code == 1
    assert "image 'x' is not in any registry" in done.err


def test_start_again_changes_nothing(run: Run, client: FleetClient) -> None:
    run("start", "hello")
    before = client.unit("hello.service").unit
    assert run("start", "hello").code == 0
    assert client.unit("hello.service").unit == before


def test_load_stop_unload_destroy(run: Run, client: FleetClient) -> None:
    assert run("load", "hello").out.startswith("Unit hello.service loaded on ")
    assert run("start", "hello").code == 0
    assert "loaded already" in run("load", "hello").err
    assert client.unit("hello.service").unit.active == "active"
    assert run("stop", "hello").out.startswith("Unit hello.service loaded on ")
    assert run("list-units", "--no-legend").rows[0][2:] == ["inactive", "dead"]
    assert run("unload", "hello").out == "Unit hello.service inactive\n"
    assert run("list-units", "--no-legend").out == ""
    assert run("destroy", "hello").out == "Destroyed hello.service\n"
    assert client.units().units == ()


def test_destroy_returns_once_no_machine_has_the_unit(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    run("start", "hello")
    fleet.script.giving_up_s = 0.3
    assert run("destroy", "hello").code == 0
    assert client.states().states == ()


def test_destroy_that_takes_too_long_says_so(run: Run, fleet: LiveFleet) -> None:
    run("start", "hello")
    fleet.script.giving_up_s = 3.0
    done = run("destroy", "hello", "--block-attempts=1")
    assert done.code == 1
    assert "machines still have hello.service" in done.err


def test_globs_reach_what_is_submitted(run: Run, client: FleetClient) -> None:
    run("submit", "alone@.container")
    run("start", "alone@{1..3}")
    assert run("stop", "alone@*").code == 0
    assert {unit.desired for unit in client.units().units if unit.name != "alone@.service"} == {"loaded"}
    assert run("unload", "alone@{1,2}").code == 0
    assert run("load", "alone@*").out.count(" loaded on ") == 3, "its template is none of them"
    assert run("start", "alone@[12]*").out.count(" launched on ") == 2
    assert run("start", "alone@*").out.count(" launched on ") == 3
    nobody = run("start", "alone@*", "nobody@*")
    assert (nobody.code, "no unit matches 'nobody@*'" in nobody.err) == (4, True)
    assert run("destroy", "alone@*").code == 0
    assert client.units().units == ()


def test_stopping_an_inactive_unit_is_refused(run: Run) -> None:
    run("submit", "hello.service")
    done = run("stop", "hello")
    assert done.code == 5
    assert "it is inactive" in done.err


@pytest.mark.parametrize("verb", ["stop", "unload", "destroy", "cat", "status", "journal", "explain"])
def test_an_unknown_unit_is_an_error(run: Run, verb: str) -> None:
    done = run(verb, "nobody")
    assert done.code == 4
    assert "nobody.service" in done.err


def test_a_name_that_means_nothing_starts_nothing(run: Run, client: FleetClient) -> None:
    done = run("start", "hello", "nobody")
    assert done.code == 4
    assert "unit 'nobody.service' is submitted" in done.err
    assert client.units().units == ()


def test_a_file_that_differs_is_told_and_replaced_when_asked(run: Run, folder: Path, client: FleetClient) -> None:
    run("submit", "hello.service")
    (folder / "hello.service").write_text(TEXT + "# changed\n")
    assert "other content" in run("start", "hello").err
    refused = run("submit", "hello.service")
    assert refused.code == 5
    assert client.unit("hello.service").text == TEXT
    assert run("submit", "--replace", "hello.service").code == 0
    assert client.unit("hello.service").text == TEXT + "# changed\n"


def test_a_malformed_file_is_refused_with_its_line(run: Run, folder: Path, client: FleetClient) -> None:
    (folder / "bad.service").write_text("[Service]\nExecStart=/bin/true\nRestrat=always\n")
    for verb in ("start", "submit", "verify"):
        done = run(verb, "bad.service")
        assert done.code == 2
        assert "line 3" in done.err
        assert "Restrat" in done.err
    assert client.units().units == ()


def test_verify_checks_files_and_submitted_units(run: Run, folder: Path) -> None:
    assert run("verify", "hello.service", "alone@.container").out == "hello.service: ok\nalone@.container: ok\n"
    run("submit", "hello.service")
    (folder / "hello.service").unlink()
    assert run("verify", "hello.service").code == 0
    (folder / "folder.service").mkdir()
    done = run("verify", "nobody", "folder.service", "alone@.container")
    assert (done.code, done.out) == (4, "alone@.container: ok\n"), "all are looked at"
    assert "unit 'nobody.service' does not exist" in done.err
    assert "folder.service: it is a directory" in done.err


def test_cat_prints_what_was_submitted(run: Run) -> None:
    run("submit", "hello.service", "alone@.container")
    assert run("cat", "hello").out == TEXT
    assert run("cat", "*").out == f"# alone@.service\n{ALONE}\n# hello.service\n{TEXT}"


def test_status_shows_where_why_and_the_journal(run: Run, fleet: LiveFleet) -> None:
    fleet.script.journals["hello.service"] = ["hello, world"]
    run("start", "hello")
    done = run("status", "hello")
    assert done.code == 0
    assert "● hello.service - Says hello" in done.out
    assert "Active: active (running) since Tue 2023-11-14" in done.out
    assert "Machine: worker-" in done.out
    assert "hello, world" in done.out
    run("stop", "hello")
    assert run("status", "hello").code == 3


def test_status_of_what_is_known_beside_what_is_not(run: Run) -> None:
    run("start", "hello")
    done = run("status", "nobody", "hello", "no*")
    assert done.code == 4
    assert "● hello.service" in done.out
    assert "nobody.service" in done.err
    assert "no unit matches 'no*'" in done.err


def test_status_of_a_global_unit(run: Run, fleet: LiveFleet, client: FleetClient, folder: Path) -> None:
    (folder / "all.service").write_text(TEXT + "\n[X-Fleet]\nGlobal=yes\n")
    fleet.script.journals["all.service"] = ["hello, world"]
    run("start", "all.service")
    eventually(lambda: run("status", "all").code == 0, within_s=20, what="it is active on every machine")
    done = run("status", "all")
    assert "Loaded: on 3 of 3 machines" in done.out
    assert "Active: on 3 of 3 machines" in done.out
    assert "Wanted: launched, on every machine that fits" in done.out
    for worker in ("worker-1", "worker-2", "worker-3"):
        assert f"all.service on {worker}:\nhello, world" in done.out
    (told,) = json.loads(run("status", "all", "--output=json").out)
    assert [state["active"] for state in told["states"]] == ["active"] * 3
    fleet.report("sick.service", "failed", "failed", "exit-code", "status 1")
    (folder / "sick.service").write_text(TEXT + "\n[X-Fleet]\nGlobal=yes\n")
    run("start", "sick.service")
    eventually(lambda: "failed (failed, exit-code)" in run("status", "sick").out, within_s=20, what="it is told")
    assert run("status", "sick").code == 3


def test_status_and_start_say_what_each_machine_has_against_a_unit(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    (folder / "picky.service").write_text(TEXT + "\n[X-Fleet]\nMachineMetadata=disk=ssd\n")
    for done in (run("start", "picky.service"), run("status", "picky")):
        assert done.code == 3
        shown = done.out + done.err
        for worker in ("worker-1", "worker-2", "worker-3"):
            assert f"{worker}  no    ok        fails            ok         has no disk, which must be ssd" in shown
        assert "would help: fleetctl metadata worker-1 disk=ssd" in shown


def test_journal(run: Run, fleet: LiveFleet) -> None:
    fleet.script.journals["hello.service"] = ["one", "two", "three"]
    run("start", "hello")
    assert run("journal", "-n", "2", "hello").out == "two\nthree\n"


def test_a_silent_store_is_told_beside_what_was_known(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    run("start", "hello")
    with fleet.outage():
        eventually(lambda: client.health().store == "silent", within_s=20, what="the silence is noticed")
        done = run("list-units", "--no-legend")
        assert done.rows[0][0] == "hello.service"
        assert "warning: this may be out of date: the store has been silent" in done.err
        refused = run("stop", "hello")
        assert refused.code == 3
    eventually(lambda: client.health().store == "ok", within_s=20, what="the store is back")


def test_shells_complete_the_names_of_units(run: Run, fleet: LiveFleet, client: FleetClient) -> None:
    from click.shell_completion import ShellComplete

    client.submit("hello.service", TEXT)
    client.submit("help-me.service", TEXT)
    shell = ShellComplete(fleetctl, {}, "fleetctl", "_FLEETCTL_COMPLETE")
    words = ["--endpoint", f"unix://{fleet.socket}", "stop"]
    assert [item.value for item in shell.get_completions(words, "hel")] == ["hello.service", "help-me.service"]
    assert shell.get_completions(["--endpoint", "unix:///nowhere", "stop"], "hel") == []
