"""Units as people name them: ranges, globs, files, templates; and in which order they are looked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inaetics.cli.unit_arguments import (
    Known,
    New,
    content_hash,
    expand,
    file_of,
    local_file,
    matches,
    resolve,
    select,
    unit_name,
)
from inaetics.errors import InvalidInput, NotFound

KNOWN = ["celix@1.service", "felix@.service", "felix@1.service", "felix@2.service", "hello.service"]
FILE, TEMPLATE, STORED = (
    "[Service]\nExecStart=/bin/a\n",
    "[Service]\nExecStart=/bin/t\n",
    "[Service]\nExecStart=/bin/s\n",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("hello.service", "hello.service"),
        ("hello", "hello.service"),
        ("felix@1", "felix@1.service"),
        ("felix@1.container", "felix@1.service"),
        ("units/felix@.container", "felix@.service"),
        ("/abs/./hello.service", "hello.service"),
        ("backup.timer", "backup.timer"),
    ],
)
def test_the_unit_an_argument_means(argument: str, name: str) -> None:
    assert unit_name(argument) == name


@pytest.mark.parametrize("argument", ["a b.service", "@1.service", "", "x/", "ü.service"])
def test_what_is_no_name_is_refused(argument: str) -> None:
    if argument == "x/":
        assert unit_name(argument) == "x.service"
        return
    with pytest.raises(InvalidInput):
        unit_name(argument)


def test_ranges_in_quotes_are_expanded_each_once() -> None:
    assert expand(["felix@{1..3}", "felix@2"]) == ["felix@1", "felix@2", "felix@3"]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        pytest.param(["felix@*"], ["felix@.service", "felix@1.service", "felix@2.service"], id="glob-without-suffix"),
        pytest.param(["felix@?.service"], ["felix@1.service", "felix@2.service"], id="one-character"),
        pytest.param(["felix@[12]"], ["felix@1.service", "felix@2.service"], id="set"),
        pytest.param(["hello", "hello.service"], ["hello.service"], id="each-once"),
        pytest.param(["felix@{2..1}"], ["felix@2.service", "felix@1.service"], id="range-in-its-order"),
    ],
)
def test_select(patterns: list[str], names: list[str]) -> None:
    assert select(patterns, KNOWN) == names


def test_an_unknown_unit_is_named_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"'helo.service' does not exist \(did you mean 'hello.service'\?\)"):
        select(["helo"], KNOWN)


def test_a_glob_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(NotFound, match=r"no unit matches 'zelix\*'"):
        select(["zelix*"], KNOWN)


def never(name: str) -> str:
    raise AssertionError(f"asked for {name}")


def test_a_submitted_unit_comes_first_and_a_file_that_differs_is_told(folder: Path) -> None:
    (folder / "hello.service").write_text(FILE)
    same, other = {"hello.service": content_hash(FILE)}, {"hello.service": content_hash(STORED)}
    assert resolve("hello", same, never) == Known(name="hello.service")
    assert resolve("hello", other, never) == Known(name="hello.service", differs=Path("hello.service"))


def test_then_the_file(folder: Path) -> None:
    (folder / "felix@1.service").write_text(FILE)
    (folder / "felix@.service").write_text(TEMPLATE)
    found = resolve("felix@1", {"felix@.service": "x"}, never)
    assert found == New(name="felix@1.service", text=FILE, origin="felix@1.service")


def test_then_the_submitted_template(folder: Path) -> None:
    (folder / "felix@.service").write_text(TEMPLATE)
    found = resolve("felix@1", {"felix@.service": "x"}, lambda name: STORED)
    assert found == New(name="felix@1.service", text=STORED, origin="the submitted template felix@.service")


@pytest.mark.parametrize("suffix", ["service", "container"])
def test_then_the_templates_file_beside(folder: Path, suffix: str) -> None:
    (folder / "units").mkdir()
    (folder / "units" / f"felix@.{suffix}").write_text(TEMPLATE)
    found = resolve("units/felix@1.service", {}, never)
    assert found == New(name="felix@1.service", text=TEMPLATE, origin=f"units/felix@.{suffix}")


def test_a_container_file_is_a_service(folder: Path) -> None:
    (folder / "hello.container").write_text(FILE)
    assert resolve("hello.container", {}, never) == New(name="hello.service", text=FILE, origin="hello.container")


def test_nothing_of_that_name_says_where_was_looked(folder: Path) -> None:
    with pytest.raises(NotFound, match=r"unit 'felix@1.service' or template 'felix@.service' is submitted, and .*file"):
        resolve("felix@1", {}, never)


def test_a_directory_is_no_file(folder: Path) -> None:
    (folder / "hello.service").mkdir()
    assert local_file("hello") is None


@pytest.mark.parametrize("argument", ["", ".", "/", "..", "./", "a/.."])
def test_what_can_name_no_file_is_refused(folder: Path, argument: str) -> None:
    with pytest.raises(InvalidInput, match="names no unit"):
        local_file(argument)


@pytest.mark.parametrize(
    ("argument", "error", "words"),
    [
        pytest.param("nothing.service", NotFound, "there is no unit file 'nothing.service'", id="nothing"),
        pytest.param("folder.service", InvalidInput, "cannot read folder.service: it is a directory", id="a-directory"),
        pytest.param("folder", InvalidInput, "cannot read folder.service: it is a directory", id="without-its-suffix"),
        pytest.param("loop.service", InvalidInput, "Too many levels of symbolic links", id="a-looping-link"),
        pytest.param("gone.service", InvalidInput, "cannot read gone.service: No such file", id="a-dangling-link"),
        pytest.param("pipe.service", InvalidInput, "it is no regular file", id="a-pipe"),
        pytest.param("net.network", InvalidInput, "NAME.service and NAME.container", id="another-kind-of-file"),
    ],
)
def test_where_a_file_has_to_be_what_is_there_is_told(
    folder: Path, argument: str, error: type[Exception], words: str
) -> None:
    (folder / "folder.service").mkdir()
    (folder / "loop.service").symlink_to("loop.service")
    (folder / "gone.service").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.service")
    (folder / "net.network").write_text("[Network]\n")
    with pytest.raises(error, match=words):
        file_of(argument)


def test_a_file_of_a_type_that_the_fleet_does_not_run_is_read_so_that_it_can_be_refused(folder: Path) -> None:
    (folder / "backup.timer").write_text(FILE)
    assert file_of("backup.timer").text == FILE
    with pytest.raises(InvalidInput, match=r"services and containers, and no \.mount units"):
        unit_name("a.mount")


def test_a_file_that_is_too_large_is_named_before_it_is_sent(folder: Path) -> None:
    (folder / "big.service").write_text("#" * 1_100_000)
    with pytest.raises(InvalidInput, match=r"big\.service is no unit file: it has 1100000 bytes, at most \d+ are"):
        local_file("big.service")


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "hello.service").write_bytes(b"[Service]\n\xff")
    with pytest.raises(InvalidInput, match=r"byte 10 is not UTF-8"):
        local_file("hello")


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        pytest.param((), True, id="no pattern shows everything"),
        pytest.param(("felix@*",), True, id="a glob"),
        pytest.param(("felix@1",), True, id="a name without its ending"),
        pytest.param(("celix@*", "felix@{1..2}.service"), True, id="any of several, ranges expanded"),
        pytest.param(("felix",), False, id="a name is not a prefix"),
        pytest.param(("celix@*",), False, id="another unit"),
    ],
)
def test_listings_show_what_a_pattern_means(patterns: tuple[str, ...], shown: bool) -> None:
    assert matches(patterns, "felix@1.service") is shown


def test_a_unit_that_is_meant_is_near_by_its_own_name() -> None:
    with pytest.raises(NotFound, match=r"did you mean 'felix@1\.service'"):
        select(["felx@1"], KNOWN)
    with pytest.raises(NotFound) as unlike:
        select(["nosuch"], [*KNOWN, "producer@.service"])
    assert "did you mean" not in str(unlike.value), "the type is no likeness"


@pytest.mark.parametrize("argument", ["adir", "adir.service", "dangling.service", "dangling@1"])
def test_what_is_no_file_is_not_called_absent(argument: str, folder: Path) -> None:
    (folder / "adir.service").mkdir()
    (folder / "dangling.service").symlink_to("nowhere")
    (folder / "dangling@1.service").symlink_to("nowhere")
    with pytest.raises(InvalidInput, match=r"cannot read .*: (it is a directory|No such file or directory)"):
        resolve(argument, {}, lambda name: "")
