"""`HealthyAfterSec=` and `HealthCommand=`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from inaetics.errors import UnitFileError
from inaetics.units.command import expand_variables, split_command
from inaetics.units.container import ContainerEngine, exec_prefix, to_service
from inaetics.units.fleet_section import fleet_section
from inaetics.units.grammar import parse
from inaetics.units.health import with_health
from inaetics.units.names import parse_name

NAME = parse_name("a@1.service")


def service(*options: str) -> str:
    return "\n".join(("[Service]", "ExecStart=/bin/sleep 9", "[X-Fleet]", *options, ""))


def test_both_are_read() -> None:
    section = fleet_section(parse(service("HealthyAfterSec=1min", "HealthCommand=curl -f http://x/%i")), NAME)
    assert (section.healthy_after_s, section.health_command) == (60.0, "curl -f http://x/%i")


@pytest.mark.parametrize(
    "option",
    [
        "HealthyAfterSec=soon",
        "HealthyAfterSec=infinity",
        "HealthCommand=-/bin/true",
        "HealthCommand=:/bin/true",
        "HealthCommand=/bin/true ; /bin/false",
        'HealthCommand="not closed',
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(option: str) -> None:
    with pytest.raises(UnitFileError, match="line 4"):
        fleet_section(parse(service(option)), NAME)


def test_a_file_without_a_health_command_stays_as_it_is() -> None:
    unit = parse(service("HealthyAfterSec=1"))
    assert with_health(unit) is unit


def test_the_command_is_tried_until_it_succeeds_with_its_words_as_written(tmp_path: Path) -> None:
    """What the supervisor would run, run: fails twice, then succeeds."""
    count, said = tmp_path / "count", tmp_path / "said"
    script = tmp_path / "check"
    script.write_text(f'#!/bin/sh\necho x >> {count}\n[ "$(wc -l < {count})" -ge 3 ] && echo "$1|$2" > {said}\n')
    script.chmod(0o755)
    unit = with_health(parse(service(f'HealthCommand={script} "two words" "it\'s ${{HOME}}"')))
    [option] = unit.of("Service", "ExecStartPost")
    argv = expand_variables(split_command(option.value).argv, {"HOME": "/root"})
    subprocess.run(argv, check=True, timeout=20)
    assert said.read_text() == "two words|it's /root\n"


def test_a_containers_command_runs_in_the_container() -> None:
    engine = ContainerEngine(command=("podman", "--root", "/a b"))
    text = "[Container]\nImage=localhost/x\n[X-Fleet]\nHealthCommand=/check 1\n"
    made = to_service(parse(text), NAME, engine)
    unit = with_health(made, prefix=exec_prefix(made, NAME, engine))
    [option] = unit.of("Service", "ExecStartPost")
    argv = split_command(option.value).argv
    assert argv[3:] == ("health", "podman", "--root", "/a b", "exec", "%p-%i", "/check", "1")
