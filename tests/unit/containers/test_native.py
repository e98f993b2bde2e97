"""C of our package: the same bytes wherever it is compiled, and nothing that a process would regret to load."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from inaetics.containers.native import compile_all, compile_library, compiler
from inaetics.errors import CommandFailed

TWICE = "int twice(int value) { return 2 * value; }\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    (tmp_path / "twice.c").write_text(TWICE)
    compile_all(tmp_path)
    return tmp_path / "twice.so"


def test_what_was_compiled_runs(library: Path) -> None:
    assert ctypes.CDLL(str(library)).twice(21) == 42


def test_the_stack_stays_free_of_execution(library: Path) -> None:
    """A library that does not say otherwise makes the stack of a whole process executable."""
    code = (
        "import ctypes, sys; ctypes.CDLL(sys.argv[1]);"
        "print([line.split()[1] for line in open('/proc/self/maps') if '[stack]' in line])"
    )
    shown = subprocess.run([sys.executable, "-c", code, library], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "['rw-p']"


def test_the_same_elsewhere_is_the_same(library: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else" / "where"
    elsewhere.mkdir(parents=True)
    (elsewhere / "twice.c").write_text(TWICE)
    compile_library(elsewhere / "twice.c", elsewhere / "other.so")
    assert (elsewhere / "other.so").read_bytes() == library.read_bytes()


def test_what_does_not_compile_is_said_in_the_compilers_words(tmp_path: Path) -> None:
    (tmp_path / "broken.c").write_text("int f() { return nothing; }\n")
    with pytest.raises(CommandFailed, match=r"(?s)cannot compile .*'nothing' undeclared"):
        compile_all(tmp_path)


def test_the_compiler_counts_only_where_there_is_c() -> None:
    assert compiler([Path("a.py"), Path("b.css")]) == ""
    assert "tcc version" in compiler([Path("a.c")])
