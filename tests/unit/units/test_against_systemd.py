"""What systemd itself makes of the same text, where it is installed: `systemd --test` reads units and starts none."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from inaetics.errors import UnitFileError
from inaetics.units import values
from inaetics.units.command import split_commands
from inaetics.units.exit_status import NAMES
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.service_spec import service_spec

SYSTEMD = "/lib/systemd/systemd"
NOBODY = "65534"
EXAMPLES = 2000

_CHARACTERS = "ab \t\\\"'; $%xnts0417{}@-"
_UNITS = ("", " ", "s", "sec", "ms", "min", "m", "h", "hr", "d", "w", "us", "M", "month", "y", "x", "S")


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that units to be read are put in."""
    version = subprocess.run([SYSTEMD, "--version"], capture_output=True, text=True) if shutil.which(SYSTEMD) else None
    if version is None or "systemd 252" not in version.stdout or (os.getuid() == 0 and not shutil.which("setpriv")):
        pytest.skip("systemd 252 is not installed here")
    directory = tmp_path_factory.mktemp("systemd")
    for parent in (directory, *directory.parents):
        if parent.stat().st_uid == os.getuid() and parent.name.startswith(("pytest", "popen", "systemd")):
            parent.chmod(0o755)
    (directory / "run").mkdir(mode=0o777)
    (directory / "run").chmod(0o777)
    return directory


def _dump(directory: Path, units: Mapping[str, str]) -> str:
    """Return what systemd understood of `units`; the one named all.service pulls in the others."""
    folder = directory / "units"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    wants = " ".join(units)
    (folder / "all.service").write_text(f"[Unit]\nWants={wants}\n[Service]\nExecStart=/bin/true\n")
    for name, text in units.items():
        (folder / name).write_text(text)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.getuid() == 0 else []
    environment = {"HOME": str(directory / "run"), "PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{folder}:"}
    environment |= {"XDG_RUNTIME_DIR": str(directory / "run"), "LC_ALL": "C.UTF-8"}
    command = [*become, SYSTEMD, "--test", "--user", "--unit=all.service"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if "Command Line: /bin/true" not in done.stdout:
        pytest.skip(f"systemd --test does not work here: {done.stderr[-300:]}")
    return done.stdout


def _examples(draw: Callable[[random.Random], str], count: int = EXAMPLES) -> list[str]:
    """Return different texts, the same ones each time."""
    chooser = random.Random(1)
    found: dict[str, None] = {}
    while len(found) < count:
        found[draw(chooser)] = None
    return list(found)


def _arguments(chooser: random.Random) -> str:
    return "".join(chooser.choice(_CHARACTERS) for _ in range(chooser.randint(0, 14)))


def _span(chooser: random.Random) -> str:
    numbers = ("1", "0", "20", "1.5", ".5", "007", "")
    parts = (f"{chooser.choice(numbers)}{chooser.choice(_UNITS)}" for _ in range(chooser.randint(1, 3)))
    return chooser.choice(("", " ")).join(parts).strip()


_PRINTED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _printed_words(line: str) -> tuple[str, ...]:
    """Read a command line as systemd prints it: words in double quotes where they need them."""
    words: list[str] = []
    for bare, quoted in re.findall(r'(?:^| )(?:([^" ]+)|"((?:[^"\\]|\\.)*)")(?= |$)', line):
        words.append(bare or re.sub(r"\\(x[0-9a-f]{2}|[0-7]{3}|.)", _unescaped, quoted))
    return tuple(words)


def _unescaped(match: re.Match[str]) -> str:
    text = match[1]
    if text.startswith("x") and len(text) == 3:
        return chr(int(text[1:], 16))
    if len(text) == 3:
        return chr(int(text, 8))
    return _PRINTED.get(text, text)


def test_command_lines_are_split_as_systemd_splits_them(systemd: Path) -> None:
    ours: list[tuple[str, ...]] = []
    lines: list[str] = []
    for number, text in enumerate(_examples(_arguments)):
        line = f"/bin/e{number} {text.replace('%', '%%')} /bin/end"  # so that no backslash ends the line
        try:
            commands = split_commands(line)
        except UnitFileError:
            continue
        if all(command.argv[0].startswith("/bin/e") for command in commands):  # else it is looked for in a PATH
            ours += [tuple(word.replace("%%", "%") for word in command.argv) for command in commands]
            lines.append(line)
    assert len(lines) > EXAMPLES / 3
    body = "".join(f"ExecStart={line}\n" for line in lines)
    dump = _dump(systemd, {"a.service": f"[Service]\nType=oneshot\n{body}"})
    theirs = [_printed_words(line) for line in re.findall(r"Command Line: (/bin/e.*)", dump)]
    assert theirs == ours


def test_time_spans_are_what_systemd_takes_them_for(systemd: Path) -> None:
    """Where it refuses one, so do we; `1.` and its like, which it takes, we refuse too."""
    texts = [text for text in _examples(_span, count=120) if text and not text.startswith("-")]
    taken = 0
    for text in texts:
        done = subprocess.run(["systemd-analyze", "timespan", text], capture_output=True, text=True, check=False)
        try:
            seconds = values.time_span(text)
        except UnitFileError:
            continue
        taken += 1
        assert done.returncode == 0, f"systemd does not take {text!r}, and we take it for {seconds}"
        theirs = re.search(r"(?:μs|us): ([0-9]+)", done.stdout)
        assert theirs is not None, done.stdout
        assert int(theirs[1]) / 1e6 == pytest.approx(seconds, abs=2e-6, rel=1e-9), text
    assert taken > len(texts) / 10


def test_continued_lines_and_comments_are_read_as_systemd_reads_them(systemd: Path) -> None:
    text = (
        "[Service]\nType=oneshot\nExecStart=/bin/e1 two \\\n# comment \\\n; another\n  three\n"
        "ExecStart=/bin/e2 a \\\n\nExecStart=/bin/e3 'b \\\n c'\n ;x\nExecStart = /bin/e4 d\\\\\n"
        "ExecStart=/bin/e5 ; /bin/e6 \\; ';'\n"
    )
    mine = service_spec(parse(text), parse_name("a.service")).exec_start
    dump = _dump(systemd, {"a.service": text})
    theirs = [_printed_words(line) for line in re.findall(r"Command Line: (/bin/e.*)", dump)]
    assert [command.argv for command in mine] == theirs


def test_environments_are_read_as_systemd_reads_them(systemd: Path) -> None:
    text = """[Service]\nExecStart=/bin/x\nEnvironment=ONE='one' "TWO='two two' too" THREE= 'F=a"b' G=a"b c"d\n"""
    mine = service_spec(parse(text), parse_name("a.service")).environment
    dump = _dump(systemd, {"a.service": text})
    assert [f"{name}={value}" for name, value in mine.items()] == re.findall(r"\tEnvironment: (.*)", dump)


def test_names_of_exit_statuses_are_systemds(systemd: Path) -> None:
    printed = subprocess.run(["systemd-analyze", "exit-status"], capture_output=True, text=True, check=True).stdout
    theirs = {line.split()[0]: int(line.split()[1]) for line in printed.splitlines()[1:]}
    assert theirs == NAMES
