"""`inaetics deploy` against the real API: checked here first, then in force in the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inaetics.provisioning.server import MAPPING
from tests.component.api.live import LiveFleet, live_fleet
from tests.support.bundles import bundle_folder, packed

INAETICS = [sys.executable, "-c", "from inaetics.cli.inaetics import main; main()"]


@pytest.fixture(scope="module")
def fleet() -> Iterator[LiveFleet]:
    with live_fleet(machines=1) as fleet:
        yield fleet


def deploy(
    fleet: LiveFleet, *arguments: str, text: str = "", endpoint: str | None = None
) -> subprocess.CompletedProcess[str]:
    where = ["--endpoint", endpoint or f"unix://{fleet.socket}"]
    command = [*INAETICS, "deploy", arguments[0], *where, *arguments[1:]]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def stored(fleet: LiveFleet) -> str | None:
    async def read() -> str | None:
        item = await fleet.store.get(MAPPING)
        return item.value.decode() if item else None

    return fleet.call(read)


def rule(target: str, *install: str) -> str:
    return f'[[rules]]\ntarget = "{target}"\ninstall = {json.dumps(list(install))}\n'


def test_from_the_shipped_mapping_to_ones_own_and_back(fleet: LiveFleet, tmp_path: Path) -> None:
    shown = deploy(fleet, "show")
    assert shown.returncode == 0, shown.stderr
    assert "the mapping as shipped" in shown.stderr
    assert "[[rules]]" in shown.stdout

    file = tmp_path / "mapping.toml"
    file.write_text(rule("felix@1", "viewer"))
    applied = deploy(fleet, "apply", str(file))
    assert applied.returncode == 0, applied.stderr
    assert "1 rules" in applied.stderr
    assert stored(fleet) == file.read_text()
    assert deploy(fleet, "show").stdout == file.read_text()
    assert json.loads(deploy(fleet, "show", "-o", "json").stdout)["mapping"] == file.read_text()

    targets = json.loads(deploy(fleet, "show", "-o", "json", "felix@1", "celix@1").stdout)["targets"]
    assert targets == {"felix@1": ["viewer-1.0.0"], "celix@1": []}

    assert deploy(fleet, "apply", "--shipped").returncode == 0
    assert "processor-1.0.0" in deploy(fleet, "show", "celix@9").stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(rule("felix@1", "veiwer"), "standard input: rule 'felix@1': no bundle or feature", id="unknown"),
        pytest.param("rules = ]", "line 1", id="no TOML"),
        pytest.param("rule = []", "standard input: Object contains unknown field `rule`", id="a field nobody knows"),
    ],
)
def test_what_is_wrong_never_leaves_this_machine(fleet: LiveFleet, text: str, words: str) -> None:
    before = stored(fleet)
    refused = deploy(fleet, "apply", "-", text=text)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    assert stored(fleet) == before


def test_own_bundles_are_known_by_their_directory(fleet: LiveFleet, tmp_path: Path) -> None:
    text = rule("felix@1", "mine", "packed_one")
    assert deploy(fleet, "apply", "-", text=text).returncode == 2
    bundle_folder(tmp_path / "sources", "mine")
    (tmp_path / "sources" / "one.zip").write_bytes(packed(tmp_path, "packed_one").read_bytes())
    applied = deploy(fleet, "apply", "-", "--bundles", str(tmp_path / "sources"), text=text)
    assert applied.returncode == 0, applied.stderr
    assert stored(fleet) == text


def test_one_mapping_must_be_named(fleet: LiveFleet) -> None:
    for arguments in ([], ["-", "--shipped"]):
        assert deploy(fleet, "apply", *arguments).returncode == 2


def test_api_that_is_away_is_said(fleet: LiveFleet, tmp_path: Path) -> None:
    refused = deploy(fleet, "apply", "--shipped", endpoint=f"unix://{tmp_path}/nobody.sock")
    assert refused.returncode == 3
    assert "nobody.sock" in refused.stderr
