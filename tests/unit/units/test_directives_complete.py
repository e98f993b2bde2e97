"""The table against the list that systemd itself prints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from inaetics.units.directives import DIRECTIVES, SECTIONS

LIST = Path(__file__).parent / "systemd_252_directives.txt"
SYSTEMD = "/lib/systemd/systemd"

NEWER = {
    ("Install", "UpheldBy"), ("Service", "FileDescriptorStorePreserve"), ("Service", "ImportCredential"),
    ("Service", "LogFilterPatterns"), ("Service", "MemoryKSM"), ("Service", "MemoryZSwapMax"),
    ("Service", "OpenFile"), ("Service", "PrivatePIDs"), ("Service", "ReloadSignal"),
    ("Service", "RestartMaxDelaySec"), ("Service", "RestartMode"), ("Service", "RestartSteps"),
    ("Service", "SetLoginEnvironment"), ("Service", "StartupMemoryMax"), ("Unit", "ConditionKernelModuleLoaded"),
    ("Unit", "ConditionVersion"), ("Unit", "SurviveFinalKillSignal"), ("Unit", "WantsMountsFor"),
}  # fmt: skip
"""Of later versions of systemd: a file written for one is refused with a reason rather than as unknown."""


def _listed() -> set[tuple[str, str]]:
    lines = [line.split() for line in LIST.read_text().splitlines() if not line.startswith("#")]
    return {(section, name) for section, name in lines}


def test_every_directive_of_systemd_has_its_place_in_the_table_and_nothing_else_has() -> None:
    ours = {(each.section, each.name) for each in DIRECTIVES}
    listed = _listed()
    assert len(listed) > 350
    assert sorted(listed - ours) == []
    assert ours - listed == NEWER


def test_the_list_is_what_systemd_prints_where_that_version_is_installed() -> None:
    version = shutil.which(SYSTEMD) and subprocess.run([SYSTEMD, "--version"], capture_output=True, text=True).stdout
    if not version or not version.startswith("systemd 252"):
        pytest.skip("systemd 252 is not installed here; the list's source is named in the list")
    printed = subprocess.run([SYSTEMD, "--dump-configuration-items"], capture_output=True, text=True, check=True)
    found, section = set(), ""
    for line in printed.stdout.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and section in SECTIONS:
            found.add((section, line.partition("=")[0]))
    assert found == _listed()
