"""Docker as a best effort, against a program that notes what it is asked; tried by hand with a real daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from inaetics.containers import pulling
from inaetics.containers.docker import docker_engine, remove_containers
from inaetics.containers.engine import probe
from inaetics.containers.push import push
from inaetics.errors import CommandFailed

FAKE = """\
#!/bin/sh
echo "$*" >> "$0.asked"
case "$1" in
  version) echo 20.10.24 ;;
  ps) echo one; echo two ;;
  image) echo sha256:1234 ;;
esac
"""


class Address:
    """As much of a registry as docker needs."""

    address = "127.17.8.2:5000"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that succeeds at everything, and no podman."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    known = {"docker": str(program), "busybox": "/bin/busybox"}
    for module in ("process", "engine"):
        monkeypatch.setattr(f"inaetics.containers.{module}.program_path", known.get)
    return program


def asked(docker: Path) -> list[str]:
    return Path(f"{docker}.asked").read_text().splitlines()


def test_docker_is_taken_where_podman_is_missing(docker: Path, tmp_path: Path) -> None:
    found = probe(tmp_path, cache=tmp_path)
    assert (found.kind, found.program, found.version) == ("docker", str(docker), "20.10.24")
    assert [line.split()[0] for line in asked(docker)][:4] == ["version", "import", "run", "build"]
    assert asked(docker)[-1] == "rmi --force localhost/inaetics-probe:latest", "the probe's image does not stay"


def test_when_docker_does_not_work_either_both_have_their_say(docker: Path, tmp_path: Path) -> None:
    docker.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2; exit 1\n")
    with pytest.raises(CommandFailed, match=r"(?s)package podman.*And docker.*Cannot connect to the Docker daemon"):
        probe(tmp_path, cache=tmp_path)


def test_only_a_hosts_own_containers_are_removed(docker: Path, tmp_path: Path) -> None:
    remove_containers(docker_engine(str(docker), tmp_path / "store", "127.17.8.101"))
    listed, removed = asked(docker)
    assert listed == f"ps --all --quiet --filter label=org.inaetics.store={tmp_path}/store"
    assert removed == "rm --force --volumes one two"


def test_a_push_makes_the_tag_that_units_name(docker: Path, tmp_path: Path) -> None:
    engine = docker_engine(str(docker), tmp_path, "127.17.8.101")
    pushed = push(engine, Address(), "felix-agent")  # type: ignore[arg-type]
    assert not pushed.sent
    assert asked(docker)[-1] == "tag localhost/inaetics/felix-agent:latest 127.17.8.2:5000/inaetics/felix-agent:latest"


def test_the_daemon_in_use_when_it_was_found_stays_the_one_in_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere.sock")
    engine = docker_engine("/usr/bin/docker", tmp_path, "127.17.8.101")
    assert engine.command == ("/usr/bin/env", "DOCKER_HOST=unix:///somewhere.sock", "/usr/bin/docker")


DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize("reference", [":latest", f"@{DIGEST}"], ids=["tag", "digest"])
def test_an_image_that_docker_has_is_right_and_one_that_it_has_not_is_asked_for_once(
    docker: Path, tmp_path: Path, reference: str
) -> None:
    engine = docker_engine(str(docker), tmp_path, "127.17.8.101")
    settings = pulling.Settings(
        engine=list(engine.command),
        flags=[],
        kind=engine.kind,
        registry="127.17.8.2:5000",
        sources={"127.17.8.101:5000": "a.conf", "127.17.8.2:5000": "b.conf"},
        certificates=str(tmp_path),
        root=str(tmp_path),
        lock=str(tmp_path / "lock"),
    )
    image = pulling.parse(f"127.17.8.2:5000/inaetics/felix-agent{reference}")
    pulling.get(settings, image)
    assert asked(docker) == [f"image inspect --format {{{{.Id}}}} {image.text}"]
    docker.write_text(FAKE.replace("echo sha256:1234", "exit 1"))
    pulling.get(settings, image)
    assert asked(docker)[2:] == [f"pull --quiet {image.text}"]
