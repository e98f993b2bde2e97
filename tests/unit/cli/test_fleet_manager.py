"""inaetics_fleet_manager's options, as the original script took them, and how wrong ones are refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MANAGER = [sys.executable, "-c", "from inaetics.cli.fleet_manager import main; main()"]


def run(*arguments: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "INAETICS_HOME": str(home or "/nonexistent")}
    return subprocess.run([*MANAGER, *arguments], capture_output=True, text=True, env=env, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--start", "--celixAgents=-1"], "'-1' is no number of agents: give 0 or more", id="negative"),
        pytest.param(["--start", "--celixAgents=x"], "'x' is no number of agents", id="no-number"),
        pytest.param(["--start", "--felixAgents="], "'' is no number of agents", id="empty"),
        pytest.param(["--start", "--felixAgents=2.5"], "'2.5' is no number of agents", id="fraction"),
        pytest.param(["--start", "--felixAgents=²"], "is no number of agents", id="superscript"),
        pytest.param(["--start", "--felixAgents=100000"], "100000 felix agents", id="too-many"),
        pytest.param(["--start", "--celix=1"], "No such option", id="unknown-option"),
        pytest.param(["--start", "--stop"], "give one of --start", id="two-actions"),
        pytest.param(["--celixAgents=1"], "give one of --start", id="no-action"),
        pytest.param([], "give one of --start", id="nothing"),
        pytest.param(["--stop", "--celixAgents=1"], "go with --start", id="numbers-without-start"),
        pytest.param(["--start", "now"], "unexpected extra argument", id="an-argument"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert words in done.stderr
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_folder_without_the_files_names_what_is_missing(tmp_path: Path) -> None:
    done = run("--start", f"--unitFilesPath={tmp_path}")
    assert done.returncode == 4
    assert f"{tmp_path} holds neither provisioning.container nor provisioning.service" in done.stderr
    assert run("--start", f"--unitFilesPath={tmp_path}/none").returncode == 4


@pytest.mark.parametrize("action", ["--status", "--stop"])
def test_without_a_cluster_it_says_how_to_start_one(action: str, tmp_path: Path) -> None:
    done = run(action, "--cluster", "nobody-has-this", home=tmp_path)
    assert done.returncode == 3
    assert "inaetics up --cluster nobody-has-this" in done.stderr


@pytest.mark.parametrize("action", ["--reboot", "--shutdown"])
def test_without_a_cluster_there_are_no_hosts(action: str, tmp_path: Path) -> None:
    done = run(action, "--cluster", "nobody-has-this", home=tmp_path)
    assert done.returncode == 4
    assert "there is no cluster 'nobody-has-this'" in done.stderr


def test_help_teaches_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']\n"
        "from inaetics.cli.fleet_manager import main\n"
        "try: main()\n"
        "finally: print([m for m in sys.modules if m.startswith(('inaetics.api', 'msgspec', 'http', 'asyncio'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "--start --celixAgents=4 --felixAgents=4" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
