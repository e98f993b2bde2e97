"""The command line's edge: help without imports, errors without tracebacks."""

from __future__ import annotations

import errno
import subprocess
import sys
from importlib import import_module

import click
import pytest

from inaetics.api.wire import UnitEntry
from inaetics.cli.common import LazyGroup, run, show_error, table_lines
from inaetics.cli.demo import agents_now, farther, tunnel
from inaetics.cli.inaetics import COMMANDS, inaetics
from inaetics.errors import Conflict, NotFound, Unavailable


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, attribute = COMMANDS[name][0].split(":")
    command = getattr(import_module(module), attribute)
    assert command.name == name
    text = command.get_help(click.Context(command, info_name=name))
    assert len(command.help or "") > 40, text


def test_help_imports_no_command() -> None:
    code = "import sys; from inaetics.cli.inaetics import inaetics; inaetics.main(['--help'], standalone_mode=False);"
    code += (
        "print([m for m in sys.modules if m.startswith(('inaetics.hosts', 'inaetics.cli.host', 'asyncio', 'google'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(click.UsageError, match="did you mean 'status'"):
        inaetics.main(["statsu"], standalone_mode=False)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Conflict("taken"), 5, "error: taken"),
        (
            ExceptionGroup("x", [Unavailable("a"), ExceptionGroup("y", [NotFound("b"), Unavailable("a")])]),
            3,
            "error: a\nerror: b",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/s/host.env"),
            1,
            "error: /s/host.env: No space left on device",
        ),
    ],
    ids=["ours", "several at once, each told once", "the operating system's"],
)
def test_an_expected_error_is_told_in_one_line(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_error(error) == code
    assert capsys.readouterr().err.strip() == said


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), TimeoutError(), ExceptionGroup("x", [Conflict("c"), KeyError("k")])], ids=repr
)
def test_a_bug_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        show_error(error)


@pytest.mark.parametrize(
    ("raised", "code"), [(None, 0), (7, 7), (Conflict("x"), 5), (KeyboardInterrupt(), 130), (click.UsageError("u"), 2)]
)
def test_exit_codes(raised: object, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("x")
    def command() -> object:
        if isinstance(raised, BaseException):
            raise raised
        return raised

    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit) as ended:
        run(command, "x")
    assert ended.value.code == code


def test_a_table_pads_columns_and_shows_what_is_empty() -> None:
    assert list(table_lines(("A", "LONG"), [("x", None), ("longer", "")])) == ["A       LONG", "x       -", "longer  -"]


def test_completion_offers_commands_without_importing_them() -> None:
    group = LazyGroup("g", lazy={"up": ("no.such:module", "Up."), "halt": ("no.such:module", "Halt.")})
    assert [item.value for item in group.shell_complete(click.Context(group), "u")] == ["up"]


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ("", None),
        ("10.0.0.9 5000 10.0.0.1 22", "ssh -N -L 8080:127.17.8.101:8080 me@10.0.0.1"),
        ("10.0.0.9 5000 10.0.0.1 2222", "ssh -N -L 8080:127.17.8.101:8080 -p 2222 me@10.0.0.1"),
    ],
    ids=["at the machine", "over ssh", "another port"],
)
def test_the_tunnel_is_told_to_who_came_over_ssh(connection: str, said: str | None) -> None:
    assert tunnel("http://127.17.8.101:8080", {"SSH_CONNECTION": connection}, "me") == said


def test_a_second_demo_keeps_the_number_of_agents() -> None:
    def unit(name: str, desired: str = "launched") -> UnitEntry:
        return UnitEntry(name=name, hash="", desired=desired, current=desired)

    units = [
        unit("felix@1.service"),
        unit("felix@4.service"),
        unit("felix@9.service", "inactive"),
        unit("celix@x.service"),
    ]
    present = {each.name: each for each in units}
    assert (agents_now(present, "felix"), agents_now(present, "celix")) == (4, 0)


@pytest.mark.parametrize(
    ("cluster", "on_path", "said"),
    [
        pytest.param("demo", True, ["    inaetics dashboard\n", "token: inaetics token"], id="a shell finds it"),
        pytest.param("demo", False, ["    .venv/bin/inaetics dashboard\n"], id="it was called by its path"),
        pytest.param("lab", True, ["inaetics dashboard --cluster lab\n", "inaetics token --cluster lab"], id="a name"),
    ],
)
def test_the_demos_end_names_an_address_that_stays_and_the_token(cluster: str, on_path: bool, said: list[str]) -> None:
    told = farther(cluster, ".venv/bin/inaetics", on_path=on_path)
    assert all(words in told for words in said), told


@pytest.mark.parametrize("count", ["-1", "-12", "-0.5"])
def test_a_count_below_zero_is_told_what_a_count_is(count: str) -> None:
    with pytest.raises(
        click.UsageError, match=rf"cannot be {count} agents: COUNT is how many there shall be, 0 or more"
    ):
        inaetics.main(["scale", "processors", count], standalone_mode=False)
    with pytest.raises(click.NoSuchOption, match="--lest"):
        inaetics.main(["scale", "processors", "--lest", "4"], standalone_mode=False)
