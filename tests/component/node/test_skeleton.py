"""What `inaetics bundle init` makes is right as it is: it packs, and its tests pass until the bundle is broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inaetics.bundles.archive import pack
from inaetics.cli.bundle_init import init


def make(*arguments: str) -> Result:
    return CliRunner().invoke(init, arguments)


def outcome_of(project: Path) -> subprocess.CompletedProcess[str]:
    without = ("no:cacheprovider", "no:schemathesis")  # the latter, a tool of our own tests, takes a second to load
    command = [sys.executable, "-m", "pytest", "-q", *(f"-p{plugin}" for plugin in without), "tests"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=140, check=False)


@pytest.mark.timeout(300)
def test_skeletons_pack_and_their_tests_pass_until_the_bundle_is_broken(tmp_path: Path) -> None:
    for arguments in (["sample_queue"], ["caller", "--uses", "sample_queue.SampleQueue"]):
        result = make(arguments[0], str(tmp_path), *arguments[1:])
        assert result.exit_code == 0, result.output
        assert pack(tmp_path / arguments[0], tmp_path / "out").name == f"{arguments[0]}-1.0.0.zip"
    good = outcome_of(tmp_path)
    assert "4 passed" in good.stdout, good.stdout
    for name, right, wrong in (
        ("sample_queue", 'f"hello {name}', 'f"bye {name}'),
        ("caller", "self._stop.set()", "pass"),
    ):
        component = tmp_path / name / "component.py"
        assert right in component.read_text()
        component.write_text(component.read_text().replace(right, wrong).replace("self._thread.join()", "pass"))
    bad = outcome_of(tmp_path)
    assert "2 failed, 2 passed" in bad.stdout, bad.stdout


def test_nothing_that_exists_is_written_over(tmp_path: Path) -> None:
    assert make("clock", str(tmp_path)).exit_code == 0
    (tmp_path / "clock" / "component.py").write_text("mine")
    again = make("clock", str(tmp_path))
    assert "clock/bundle.json is there already" in str(again.exception)
    assert (tmp_path / "clock" / "component.py").read_text() == "mine"


def test_wrong_names_are_named(tmp_path: Path) -> None:
    for arguments, words in (
        (["Clock"], "name 'Clock' is not valid"),
        (["tests"], "take another name"),
        (["clock", str(tmp_path), "--uses", 'a"b'], "take another name"),
    ):
        result = make(arguments[0], *(arguments[1:] or [str(tmp_path)]))
        assert words in str(result.exception)
    assert list(tmp_path.iterdir()) == []
