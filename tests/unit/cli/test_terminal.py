"""What people's terminals get: colours if they want them, lines that fit, a question before what cannot be undone."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from inaetics.cli.common import confirm, run, show_error
from inaetics.cli.inaetics import inaetics
from inaetics.cli.progress import TerminalProgress
from inaetics.errors import Conflict, InvalidInput
from inaetics.override import override
from inaetics.terminal import painted, writes_over


class Screen(io.StringIO):
    """A terminal of some width."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        pytest.param({"TERM": "xterm"}, True, id="a terminal"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param({"TERM": "xterm", "NO_COLOR": ""}, True, id="an empty NO_COLOR says nothing"),
        pytest.param({"TERM": "dumb"}, False, id="a dumb terminal"),
    ],
)
def test_colours_are_for_those_who_want_them(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ("\033[" in painted("x", "red")) is coloured
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    show_error(Conflict("taken"))
    assert ("\033[" in screen.getvalue()) is coloured
    assert "error: " in screen.getvalue().replace("\033[0m", "")


def test_a_dumb_terminal_has_no_line_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not writes_over(Screen())
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with TerminalProgress().step("hosts started") as step:
        step.update("1 of 6")
        step.update("6 of 6")
    assert re.fullmatch(r"✓ hosts started +6 of 6 +\d+\.\d s\n", screen.getvalue())


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_a_line_under_way_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is wrapped would not be written over: the terminal fills up with its beginnings."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("inaetics.terminal.width", lambda stream: columns)
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with TerminalProgress().step("images in the registry") as step:
        step.update("felix-agent: layer 3 of 3, 12.4 of 38.0 MB, of a long name " * 3)
    *under_way, finished = screen.getvalue().split("\r\033[K")[1:]
    assert len(under_way) == 2
    assert max(map(len, under_way)) < columns
    assert "of a long name" in finished, "the finished line is told whole"


def test_nobody_is_asked_where_nobody_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(InvalidInput, match=r"nothing was done: .*'Halt it\?'.*--yes"):
        confirm("Halt it?")


@pytest.mark.parametrize("answer", ["n", ""])
def test_a_no_is_no_interruption(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Screen(f"{answer}\n"))
    with pytest.raises(InvalidInput, match="nothing was done"):
        confirm("Halt it?")


def test_destroy_asks_who_sits_at_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INAETICS_HOME", str(tmp_path))
    (tmp_path / "lab" / "hosts").mkdir(parents=True)
    monkeypatch.setattr(sys, "stdin", Screen("n\n"))
    with pytest.raises(InvalidInput, match="nothing was done"):
        inaetics.main(["destroy", "--cluster", "lab"], standalone_mode=False)
    assert (tmp_path / "lab").is_dir()
    inaetics.main(["destroy", "--cluster", "lab", "--yes"], standalone_mode=False)
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("words", [["restore", "no-such.db"], ["replace", "worker-9"]], ids=lambda words: words[0])
def test_nobody_is_asked_about_what_cannot_be(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INAETICS_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", Screen("y\n"))
    with pytest.raises(Exception, match="there is no cluster 'lab'"):
        inaetics.main(["etcd", *words, "--cluster", "lab"], standalone_mode=False)
    assert capsys.readouterr().err == ""


def test_help_says_what_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        inaetics.main([*words], standalone_mode=False, prog_name="inaetics")
        return capsys.readouterr().out

    assert said("help") == said("--help")
    assert said("help", "up") == said("up", "--help")
    assert said("help", "etcd", "snapshot") == said("etcd", "snapshot", "--help")
    with pytest.raises(click.UsageError, match=r"no such command: 'snapshto' \(did you mean 'snapshot'\?\)"):
        said("help", "etcd", "snapshto")
    with pytest.raises(click.UsageError, match="'inaetics up' has no commands"):
        said("help", "up", "now")


@pytest.mark.parametrize(
    ("endpoint", "said"), [("foo", "neither unix:///PATH nor https"), ("https://", "names no host")], ids=str
)
def test_an_endpoint_that_can_be_none_is_refused_before_a_page_is_served(endpoint: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        inaetics.main(["dashboard", "--no-browser", "--endpoint", endpoint], standalone_mode=False)


SPEAKS = """
import click, sys, time
from inaetics.cli.common import run
@click.command()
def speak():
    for _ in range(100_000):
        click.echo("word")
        sys.stdout.flush()
run(speak, "speak")
"""


@pytest.mark.parametrize(
    ("redirected", "code"),
    [pytest.param("| head -1", 141, id="its reader goes away"), pytest.param(">&-", 0, id="its output is closed")],
)
def test_a_command_whose_words_nobody_wants_ends_quietly(redirected: str, code: int) -> None:
    line = f'set -o pipefail; "$0" -c "$1" {redirected}'
    done = subprocess.run(["bash", "-c", line, sys.executable, SPEAKS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("fleetctl list-units --endpoint x", "before the command: fleetctl --endpoint … list", id="before"),
        pytest.param("inaetics --cluster lab status", "behind the command: inaetics status --cluster …", id="behind"),
        pytest.param(
            "inaetics etcd --output json status", "behind the command: inaetics etcd status --out", id="group"
        ),
        pytest.param("inaetics status --nonsense", "No such option '--nonsense'.\ntry:", id="nowhere"),
    ],
)
def test_an_option_at_the_wrong_place_is_told_the_right_one(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from inaetics.cli.fleetctl import fleetctl

    program, *_ = words = line.split()
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        run(fleetctl if program == "fleetctl" else inaetics, program)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("program", ["inaetics", "fleetctl", "inaetics_fleet_manager"])
def test_an_interruption_while_modules_are_read_is_no_traceback(program: str, tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("import time; print('reading', flush=True); time.sleep(60)\n")
    code = f"from inaetics.cli.programs import {program}; {program}()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    line = [sys.executable, "-c", code]
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "reading\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, "interrupted\n")
