"""fleetctl's help, its options as the original had them, and what it says when there is no fleet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inaetics.cli.fleetctl import COMMANDS, fleetctl, two_dashes

FLEETCTL = [sys.executable, "-c", "from inaetics.cli.fleetctl import main; main()"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment}
    return subprocess.run([*FLEETCTL, *arguments], capture_output=True, text=True, env=clean, timeout=30, check=False)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        pytest.param(["list-units", "-no-legend"], ["list-units", "--no-legend"], id="one-dash"),
        pytest.param(["-endpoint=unix:///x", "cat"], ["--endpoint=unix:///x", "cat"], id="with-a-value"),
        pytest.param(["list-units", "-l"], ["list-units", "-l"], id="a-short-one-stays"),
        pytest.param(["journal", "-f", "-n", "5"], ["journal", "-f", "-n", "5"], id="short-ones-with-values-stay"),
        pytest.param(["cat", "--", "-full"], ["cat", "--", "-full"], id="behind-two-dashes-stays"),
        pytest.param(["-debug", "start", "-sign", "x"], ["--debug", "start", "--sign", "x"], id="obsolete"),
        pytest.param(["ssh", "-machine", "x"], ["ssh", "--machine", "x"], id="ours-before-a-command-line"),
        pytest.param(
            ["exec", "-i", "x", "ls", "-full"], ["exec", "-i", "x", "ls", "-full"], id="another-programs-stay"
        ),
        pytest.param(["start", "-unknown"], ["start", "-unknown"], id="what-is-not-ours-stays"),
        pytest.param(["-tunnel=x", "-ssh-username", "y"], ["--tunnel=x", "--ssh-username", "y"], id="a-tunnel"),
        pytest.param(
            ["-strict-host-key-checking", "cat"], ["--strict-host-key-checking=true", "cat"], id="a-switch-alone"
        ),
        pytest.param(["-strict-host-key-checking=0"], ["--strict-host-key-checking=0"], id="a-switch-with-its-value"),
    ],
)
def test_the_originals_single_dashes(given: list[str], read: list[str]) -> None:
    assert two_dashes(given) == read


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_that_teaches(name: str) -> None:
    context = fleetctl.make_context("fleetctl", [], resilient_parsing=True)
    command = fleetctl.get_command(context, name)
    assert command is not None
    assert command.name == name
    text = command.get_help(context)
    assert command.help
    assert name == "version" or f"fleetctl {name}" in text, "an example"


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; sys.argv = ['fleetctl', '--help']\n"
        "from inaetics.cli.fleetctl import main\n"
        "try: main()\n"
        "finally:\n"
        "    heavy = ('inaetics.cli.fleetctl_commands', 'inaetics.api', 'msgspec', 'http', 'asyncio', 'ssl')\n"
        "    print([name for name in sys.modules if name.startswith(heavy)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_cluster_is_an_error_that_teaches(tmp_path: Path) -> None:
    done = run("--cluster", "nobody-has-this", "list-units", INAETICS_HOME=str(tmp_path))
    assert done.returncode == 3
    assert "inaetics up --cluster nobody-has-this" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dead_socket_is_an_error_that_teaches(tmp_path: Path) -> None:
    done = run("--endpoint", f"unix://{tmp_path}/fleet.sock", "list-units")
    assert done.returncode == 3
    assert f"no fleet API answers at unix://{tmp_path}/fleet.sock: No such file or directory" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["list-unitz"], "no such command: 'list-unitz' (did you mean 'list-units'?)", id="command"),
        pytest.param(["start"], "Missing argument", id="no-unit"),
        pytest.param(["start", "x", "--block-attempts=-1"], "-1 is not in the range", id="attempts"),
        pytest.param(["--endpoint", "ftp://x", "list-units"], "neither unix:///PATH nor https://", id="endpoint"),
        pytest.param(["--endpoint", "https://127.0.0.1:1", "--ca-file", "/nowhere", "list-units"], "/nowhere", id="ca"),
        pytest.param(["--endpoint", "https://[::1", "list-units"], "'https://[::1' is no URL", id="half-an-address"),
        pytest.param(["--endpoint", "http://a..b", "list-units"], "'http://a..b' names no host", id="no-hosts-name"),
        pytest.param(["--request-timeout=-1", "list-units"], "-1 is no time to wait", id="less-than-no-time"),
        pytest.param(["--request-timeout=0", "list-units"], "0 is no time to wait", id="no-time"),
        pytest.param(["--request-timeout=nan", "list-units"], "nan is no time to wait", id="no-number"),
        pytest.param(["--request-timeout=inf", "list-units"], "inf is no time to wait", id="for-ever"),
        pytest.param(["--tunnel", "-oX=y", "list-units"], "tunnel '-oX=y' names no host", id="tunnel"),
        pytest.param(["--tunnel=a@b", "--ssh-username=c", "list-units"], "give one name", id="two-users"),
        pytest.param(["--ssh-timeout=0", "list-units"], "0 is no time to wait", id="no-time-for-ssh"),
        pytest.param(["--strict-host-key-checking=x", "list-units"], "'x' is not a valid boolean", id="no-switch"),
        pytest.param(["fd-forward", "https://x"], "it is no Unix socket", id="forward-to-the-network"),
        pytest.param(["submit", ""], "'' names no unit", id="submit-nothing"),
        pytest.param(["submit", "."], "'.' names no unit", id="submit-here"),
        pytest.param(["--endpoint=unix:///x", "start", "/"], "'/' names no unit", id="start-the-root"),
        pytest.param(["verify", "."], "'.' names no unit", id="verify-here"),
        pytest.param(["verify", "a.mount"], "no .mount units", id="verify-a-mount"),
        pytest.param(["--endpoint=unix:///x", "update", ""], "'' names no unit", id="update-nothing"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert words in done.stderr
    assert done.returncode == 2


def test_completion_completes_commands() -> None:
    done = run(_FLEETCTL_COMPLETE="bash_complete", COMP_WORDS="fleetctl list-u", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,list-units", "plain,list-unit-files"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_FLEETCTL_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["start", "--sign", "x"], "--sign cannot be had: units are not signed", id="sign"),
        pytest.param(["submit", "-sign", "x"], "--sign cannot be had: units are not signed", id="sign-with-one-dash"),
        pytest.param(["--driver=etcd", "list-units"], "--driver=etcd cannot be had", id="driver"),
        pytest.param(["-etcd-keyfile=x", "list-units"], "give --key-file", id="etcd-key"),
    ],
)
def test_what_the_original_had_and_makes_no_sense_here_is_refused_with_a_sentence(
    arguments: list[str], words: str
) -> None:
    done = run(*arguments)
    assert words in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        pytest.param("FLEETCTL_ETCD_KEYFILE", "x", "FLEETCTL_ETCD_KEYFILE cannot be had", id="refused"),
        pytest.param("FLEETCTL_TUNNEL", "-x", "tunnel '-x' names no host", id="a-tunnel"),
        pytest.param("FLEETCTL_DRIVER", "etcd", "FLEETCTL_DRIVER=etcd cannot be had", id="another-value"),
        pytest.param("FLEETCTL_DRIVER", "api", "no fleet API answers", id="what-is-done-anyway"),
        pytest.param("FLEETCTL_ETCD_KEYFILE", "", "no fleet API answers", id="empty"),
    ],
)
def test_the_originals_variables_count_as_its_options(variable: str, value: str, words: str, tmp_path: Path) -> None:
    done = run("--endpoint", f"unix://{tmp_path}/none.sock", "list-units", **{variable: value})
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--driver", "API"], id="driver"),
        pytest.param(["-experimental-api=true"], id="experimental-api"),
        pytest.param(["-strict-host-key-checking"], id="host-keys"),
        pytest.param(["--ssh-username=core", "--ssh-timeout=2.5", "-known-hosts-file=/k"], id="ssh-without-a-tunnel"),
    ],
)
def test_what_asks_for_what_is_done_anyway_is_taken(arguments: list[str], tmp_path: Path) -> None:
    done = run(*arguments, "--endpoint", f"unix://{tmp_path}/none.sock", "list-units")
    assert "no fleet API answers" in done.stderr


def test_the_help_verb_shows_the_help_of_a_command() -> None:
    assert run("help", "start").stdout == run("start", "--help").stdout
    assert run("help").stdout == run("--help").stdout
    assert "did you mean 'start'" in run("help", "stat").stderr
