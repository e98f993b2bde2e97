"""`inaetics deploy` against the real API: planned, in force, two at once, back as a whole and for one target."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from inaetics.bundles.records import (
    ARTIFACTS,
    LOG_ROOT,
    PREFIX,
    TRIAL,
    Artifact,
    Entry,
    Standing,
    artifact_key,
    standing_key,
)
from inaetics.cli.bundle_prune import GRACE_S, spare
from inaetics.cli.inaetics import main
from tests.component.api.live import LiveFleet, live_fleet
from tests.support.bundles import bundle_folder
from tests.support.eventually import eventually
from tests.support.pretend_agents import pretend_agents


@pytest.fixture(scope="module")
def running() -> Iterator[LiveFleet]:
    with live_fleet(machines=1) as fleet:
        yield fleet


@pytest.fixture
def fleet(running: LiveFleet) -> Iterator[LiveFleet]:
    """With bundles a and b in two versions, and an agent that once installed something."""
    for name, version in (("a", "1.0.0"), ("b", "1.0.0"), ("b", "1.1.0")):
        put(running, Artifact(name=name, version=version, sha256=version[2] * 64, size=1))
    entry = Entry(at=1.0, event="failed", version="7-x", error="no words", by="berta")
    standing = msgspec.json.encode(Standing(last=entry, running="6-y"))
    running.call(lambda: running.store.put(standing_key("celix@7"), standing))
    running.call(lambda: running.store.put(f"{LOG_ROOT}entries/celix@7/1-a-1", msgspec.json.encode(entry)))
    yield running
    running.call(lambda: running.store.delete(PREFIX, prefix=True))
    running.call(lambda: running.store.delete(TRIAL))
    running.call(lambda: running.store.delete(LOG_ROOT, prefix=True))


def put(fleet: LiveFleet, artifact: Artifact) -> None:
    value = msgspec.json.encode(artifact)
    fleet.call(lambda: fleet.store.put(artifact_key(artifact.name, artifact.version), value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


def command_line(*arguments: str, text: str = "") -> Ended:
    """Run the command in this process: forty of them would take a quarter of a minute to import."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv, sys.stdin
    sys.argv, sys.stdin = ["inaetics", *arguments], io.StringIO(text)
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv, sys.stdin = before
    code = ended.value.code
    return Ended(returncode=code if isinstance(code, int) else 1, stdout=out.getvalue(), stderr=err.getvalue())


def inaetics(fleet: LiveFleet, *arguments: str, text: str = "", wait: bool = False) -> Ended:
    """There are no agents here to wait for, unless a test makes some up and says `wait`."""
    if arguments[:2] in (("deploy", "apply"), ("deploy", "rollback")) and not wait:
        arguments = (*arguments[:2], "--no-block", *arguments[2:])
    return command_line(*arguments[:2], "--endpoint", f"unix://{fleet.socket}", *arguments[2:], text=text)


def done(fleet: LiveFleet, *arguments: str, text: str = "") -> str:
    """What it says, if it succeeded."""
    ended = inaetics(fleet, *arguments, text=text)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


def as_json(fleet: LiveFleet, *arguments: str, text: str = "") -> Any:
    ended = inaetics(fleet, *arguments, "-o", "json", text=text)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def rule(target: str, *install: str) -> str:
    return f'[[rules]]\ntarget = "{target}"\ninstall = {json.dumps(list(install))}\n'


def gets(fleet: LiveFleet, target: str) -> list[str]:
    (entry,) = as_json(fleet, "deploy", "show", target)
    bundles: list[str] = entry["bundles"]
    return bundles


def test_from_nothing_to_versions_and_back(fleet: LiveFleet, tmp_path: Path) -> None:
    assert inaetics(fleet, "deploy", "show").returncode == 4
    file = tmp_path / "mapping.toml"
    file.write_text(rule("celix@*", "a", "b@1.0.0"))
    planned = done(fleet, "deploy", "plan", str(file))
    assert "celix@7  a@1.0.0, b@1.0.0" in planned
    assert "celix@7  a@1.0.0 → b@1.0.0      -" in planned
    assert "version 1 would be: applied, 1 rules; 1 of 1 known targets change; nothing was changed" in planned
    assert inaetics(fleet, "deploy", "show").returncode == 4, "a plan changes nothing"

    assert "version 1 is in force" in done(fleet, "deploy", "apply", str(file))
    shown = inaetics(fleet, "deploy", "show")
    assert shown.stdout == file.read_text()
    assert "# version 1, applied by " in shown.stderr
    assert gets(fleet, "celix@9") == ["a@1.0.0", "b@1.0.0"]

    done(fleet, "deploy", "apply", "-", text=rule("celix@*", "b"))
    assert gets(fleet, "celix@9") == ["b@1.1.0"], "the newest"
    assert "celix@7 held at version 1" in done(fleet, "deploy", "rollback", "celix@7")
    assert (gets(fleet, "celix@7"), gets(fleet, "celix@9")) == (["a@1.0.0", "b@1.0.0"], ["b@1.1.0"])
    assert "celix@7 is held at version 1" in done(fleet, "deploy", "show")
    done(fleet, "deploy", "rollback", "celix@7", "--release")
    assert gets(fleet, "celix@7") == ["b@1.1.0"]
    assert "back to version 1" in done(fleet, "deploy", "rollback", "--to", "1", "--plan")
    done(fleet, "deploy", "rollback", "--to", "1")
    assert gets(fleet, "celix@9") == ["a@1.0.0", "b@1.0.0"]
    history = as_json(fleet, "deploy", "history")
    assert [each["note"] for each in history] == [
        "back to version 1",
        "celix@7 released",
        "celix@7 held at version 1",
        "applied",
        "applied",
    ]


def test_whoever_decided_from_an_older_version_is_told(fleet: LiveFleet) -> None:
    done(fleet, "deploy", "apply", "-", text=rule("x", "a"))
    done(fleet, "deploy", "apply", "-", "--from", "1", text=rule("x", "b"))
    late = inaetics(fleet, "deploy", "apply", "-", "--from", "1", text=rule("x", "a", "b"))
    assert late.returncode == 5
    assert "version 2 is in force now, applied by " in late.stderr
    assert "yours was made from version 1" in late.stderr
    assert gets(fleet, "x") == ["b@1.1.0"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            rule("x", "aa"), "rule 'x': no bundle, feature or distribution 'aa' (did you mean 'a'?)", id="name"
        ),
        pytest.param("rules = ]", "line 1", id="no TOML"),
        pytest.param("rule = []", "unknown field `rule`", id="a field nobody knows"),
        pytest.param('features = {f = ["g"], g = ["f"]}\nrules = []', "in a circle: f → g → f", id="a circle"),
    ],
)
def test_what_is_wrong_changes_nothing(fleet: LiveFleet, text: str, words: str) -> None:
    done(fleet, "deploy", "apply", "-", text=rule("x", "a"))
    refused = inaetics(fleet, "deploy", "apply", "-", text=text)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert gets(fleet, "x") == ["a@1.0.0"]


def test_what_became_of_an_agent_is_told(fleet: LiveFleet) -> None:
    done(fleet, "deploy", "apply", "-", text=rule("celix@*", "a"))
    told = done(fleet, "deploy", "show", "--all")
    assert "celix@7" in told
    assert "failed 1970-01-01 00:00:01: no words" in told
    assert "6-y" in told
    history = done(fleet, "deploy", "history", "celix@7")
    assert "failed" in history
    assert "no words" in history
    assert "nothing was ever given to felix@9" in done(fleet, "deploy", "history", "felix@9")


def test_it_waits_until_every_target_runs_it_but_not_for_those_that_are_away(fleet: LiveFleet) -> None:
    with pretend_agents(fleet, {"x@1": "", "x@2": ""}):
        made = inaetics(
            fleet, "deploy", "apply", "-", text=rule("x@1", "a") + rule("x@2", "b") + rule("*", "a"), wait=True
        )
        assert made.returncode == 0, made.stderr
        assert "2 of 2 targets run it" in made.stderr
        assert "not there: celix@7; it gets its bundles on coming back" in made.stderr
        assert "yes" in done(fleet, "deploy", "show", "x@1")
        (entry,) = as_json(fleet, "deploy", "show", "x@1")
        assert (entry["outcome"], entry["unit"]) == ("current", "")


def test_a_version_that_one_target_cannot_run_is_taken_back_everywhere(fleet: LiveFleet) -> None:
    with pretend_agents(fleet, {"x@1": "", "x@2": "b"}):
        text = rule("x@1", "a") + rule("x@2", "a")
        assert inaetics(fleet, "deploy", "apply", "-", text=text, wait=True).returncode == 0
        text = rule("x@1", "b") + rule("x@2", "b")
        refused = inaetics(fleet, "deploy", "apply", "-", text=text, wait=True)
        assert refused.returncode == 1
        assert "x@2 went back to deployment 1-" in refused.stderr
        assert "bundle b does not start" in refused.stderr
        assert "version 2 is taken back everywhere: version 3 is in force, with what version 1 gave" in refused.stderr
        assert "2 of 2 targets run it" in refused.stderr, "the one that had it came back"
        assert gets(fleet, "x@1") == gets(fleet, "x@2") == ["a@1.0.0"]
        assert as_json(fleet, "deploy", "history")[0]["note"].startswith("back to version 1: x@2 went back to ")

        kept = inaetics(fleet, "deploy", "apply", "-", "--keep-going", "-o", "json", text=text, wait=True)
        assert kept.returncode == 1
        told = json.loads(kept.stdout)
        assert (told["version"], told["undone"], list(told["followed"]["failed"])) == (4, None, ["x@2"])
        assert "version 4 stays in force; only such a target back: inaetics deploy rollback x@2" in kept.stderr
        assert gets(fleet, "x@1") == ["b@1.1.0"]

        back = inaetics(fleet, "deploy", "rollback", "x@2", "--reason", "b is bad there", wait=True)
        assert back.returncode == 0, back.stderr
        assert "1 of 1 targets run it" in back.stderr
        assert as_json(fleet, "deploy", "history")[0]["note"] == "x@2 held at version 3: b is bad there"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_the_cluster_goes_back_when_the_command_that_applied_is_gone(fleet: LiveFleet, end: signal.Signals) -> None:
    put(fleet, Artifact(name="silent", version="1.0.0", sha256="f" * 64, size=1))
    with pretend_agents(fleet, {"x@1": "", "x@2": ""}):
        good = rule("x@1", "a") + rule("x@2", "a")
        assert inaetics(fleet, "deploy", "apply", "-", text=good, wait=True).returncode == 0
        words = ended_early(fleet, rule("x@1", "silent") + rule("x@2", "silent"), end)
        if end is signal.SIGINT:
            assert "version 2 is in force, and targets go on to follow" in words
            assert "the cluster goes back to what version 1 gave, everywhere" in words
        assert "version 2 is on trial until " in done(fleet, "deploy", "history")
        assert gets(fleet, "x@1") == ["silent@1.0.0"]
        (entry,) = as_json(fleet, "deploy", "show", "x@2")
        said = Entry(at=2.0, event="rolled-back", version=entry["deployment"], error="too late")
        value = msgspec.json.encode(Standing(last=said, running="1-x"))
        fleet.call(lambda: fleet.store.put(standing_key("x@2"), value))
        eventually(lambda: gets(fleet, "x@1") == ["a@1.0.0"], within_s=30, what="the version before is in force")
        made = as_json(fleet, "deploy", "history")[0]
        assert (made["version"], made["by"]) == (3, "the cluster")
        assert made["note"] == "back to version 1: x@2 went back to deployment 1-x: too late"


def ended_early(fleet: LiveFleet, text: str, end: signal.Signals) -> str:
    """Apply `text` with a process of its own, and end it once the version is in force; returns what it said."""
    program = "from inaetics.cli.inaetics import main; main()"
    arguments = ["deploy", "apply", "--endpoint", f"unix://{fleet.socket}", "-"]
    command = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdin is not None
    assert command.stderr is not None
    command.stdin.write(text)
    command.stdin.close()
    said = [next(line for line in command.stderr if "is in force" in line)]
    command.send_signal(end)
    said += command.stderr
    assert command.wait(30) != 0
    command.stderr.close()
    return "".join(said)


def test_who_is_content_keeps_a_version_whatever_targets_say(fleet: LiveFleet) -> None:
    with pretend_agents(fleet, {"x@1": ""}):
        inaetics(fleet, "deploy", "apply", "-", text=rule("x@1", "a"), wait=True)
        told = done(fleet, "deploy", "apply", "-", text=rule("x@1", "b"))
        assert "the cluster goes back to what version 1 gave, everywhere (to keep it" in told
        assert "version 2 stays in force" in done(fleet, "deploy", "keep")
        assert "it was not on trial" in done(fleet, "deploy", "keep", "2")
        refused = inaetics(fleet, "deploy", "keep", "1")
        assert refused.returncode == 5
        assert "version 1 of the mapping is not in force: version 2 is" in refused.stderr
        inaetics(fleet, "deploy", "apply", "-", text=rule("x@1", "a"), wait=True)
        assert "on trial" not in done(fleet, "deploy", "history"), "who waited to a good end has kept it"


def test_who_is_not_in_time_is_named_and_nothing_is_taken_back(fleet: LiveFleet) -> None:
    put(fleet, Artifact(name="silent", version="1.0.0", sha256="f" * 64, size=1))
    with pretend_agents(fleet, {"x@1": ""}):
        done(fleet, "deploy", "apply", "-", text=rule("x@1", "a"))
        late = inaetics(fleet, "deploy", "apply", "-", "--timeout", "0.5", text=rule("x@1", "silent"), wait=True)
        assert late.returncode == 1
        assert "x@1 is not in time: " in late.stderr
        assert "version 2 stays in force, and targets go on to follow" in late.stderr
        assert gets(fleet, "x@1") == ["silent@1.0.0"]


def test_what_a_push_would_change_is_shown_and_nothing_is_done(fleet: LiveFleet, tmp_path: Path) -> None:
    for name, version in (("a", "1.0.0"), ("c", "1.0.0")):
        bundle_folder(tmp_path, name, version)
    done(fleet, "deploy", "apply", "-", text=rule("celix@*", "a", "b"))
    before = as_json(fleet, "bundle", "list")
    refused = inaetics(fleet, "bundle", "push", str(tmp_path), "--plan")
    assert (refused.returncode, "push with --replace" in refused.stderr) == (5, True)
    planned = done(fleet, "bundle", "push", str(tmp_path), "--plan", "--replace")
    assert f"in place of {'0' * 16}" in planned
    assert "signed and pushed" in planned
    assert "celix@7  a@1.0.0                a@1.0.0" in planned
    assert "version 2 would be: a@1.0.0 replaced, 1 rules; 1 of 1 known targets change; nothing was changed" in planned
    told = as_json(fleet, "bundle", "push", str(tmp_path / "c"), "--plan")
    assert told["version"] is None
    assert [each["would_be"] for each in told["bundles"]] == ["signed and pushed"]
    assert as_json(fleet, "bundle", "list") == before
    assert as_json(fleet, "deploy", "show")["version"] == 1


def test_what_the_demonstrator_would_change_is_shown(fleet: LiveFleet) -> None:
    planned = done(fleet, "bundle", "push", "--demonstrator", "--plan")
    assert "version 1 would be: applied" in planned
    assert "celix@7  statistics@" in planned
    assert inaetics(fleet, "deploy", "show").returncode == 4
    done(fleet, "deploy", "apply", "-", text=rule("celix@*", "a"))
    assert "nothing that runs would change" in done(fleet, "bundle", "push", "--demonstrator", "--plan")


def test_bundles_are_listed_and_those_nobody_needs_forgotten(fleet: LiveFleet) -> None:
    done(fleet, "deploy", "apply", "-", text=rule("x", "b"))
    listed = as_json(fleet, "bundle", "list")
    assert [(each["name"], each["version"], each["signed"]) for each in listed] == [
        ("a", "1.0.0", False),
        ("b", "1.1.0", False),
        ("b", "1.0.0", False),
    ]
    kept = inaetics(fleet, "bundle", "remove", "b@1.1.0")
    assert kept.returncode == 5
    assert "part of version 1" in kept.stderr
    done(fleet, "bundle", "remove", "b@1.0.0")
    assert len(as_json(fleet, "bundle", "list")) == 2
    assert len(fleet.call(lambda: fleet.store.list(ARTIFACTS)).items) == 2


def test_only_what_nothing_can_go_back_to_is_spare(fleet: LiveFleet) -> None:
    """b is there in two versions, neither of them young."""

    def spared(now: float = 2 * GRACE_S) -> list[str]:
        with fleet.client() as client:
            return [each.key for each in spare(client, now=now)]

    put(fleet, Artifact(name="b", version="0.9.0", sha256="9" * 64, size=1, at=GRACE_S / 2))
    assert spared() == ["b@1.0.0", "b@0.9.0"], "but not the newest of any name"
    assert spared(1.25 * GRACE_S) == ["b@1.0.0"], "nor what is young"
    done(fleet, "deploy", "apply", "-", text=rule("x", "b@1.0.0"))
    done(fleet, "deploy", "apply", "-", text=rule("x", "a"))
    assert spared() == ["b@0.9.0"], "nor what a version before gave"


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("deploy", "apply", "--shipped", __file__), id="two mappings"),
        pytest.param(("deploy", "rollback", "--release"), id="release of nobody"),
        pytest.param(("bundle", "remove", "a"), id="no version"),
        pytest.param(("bundle", "push"), id="nothing to push"),
    ],
)
def test_half_a_wish_is_refused(fleet: LiveFleet, arguments: tuple[str, ...]) -> None:
    assert inaetics(fleet, *arguments).returncode == 2


def test_without_an_api_it_says_what_to_do(tmp_path: Path) -> None:
    refused = command_line("deploy", "apply", "--shipped", "--endpoint", f"unix://{tmp_path}/nobody.sock")
    assert refused.returncode == 3
    assert "nobody.sock" in refused.stderr
