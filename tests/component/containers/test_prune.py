"""Letting go of images in a real store: what a container needs stays, what builds left goes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from inaetics.containers.folder_build import build_folder
from inaetics.containers.images import identity
from inaetics.containers.prune import Needed, carry_out, cut_builds, plan_prune, remove_cut_builds, stored_images
from inaetics.units.container import ContainerEngine
from tests.component.containers.conftest import Hosts
from tests.component.containers.test_reproducible import BASE, MADE, folder_of, make_base
from tests.component.containers.tiny import import_tiny, podman


def prune(engine: ContainerEngine, needed: Needed, *, builder: bool) -> dict[str, str]:
    refused, _ = carry_out(engine, plan_prune(stored_images(engine), needed, builder=builder))
    return refused


def test_a_host_keeps_what_is_needed_and_nothing_else(hosts: Hosts) -> None:
    engine = hosts().engine
    for name in ("kept", "named", "run", "gone"):
        import_tiny(engine, f"localhost/{name}:latest", f"echo {name}")
    kept = next(image for image in stored_images(engine) if image.names == ("localhost/kept:latest",))
    podman(engine, "create", "localhost/run:latest")
    podman(engine, "tag", "localhost/gone:latest", "localhost/gone:again")
    needed = Needed(digests={kept.digest}, names={"localhost/named:latest"})
    assert prune(engine, needed, builder=False) == {}
    left = sorted(name for image in stored_images(engine) for name in image.names or ())
    assert left == ["localhost/kept:latest", "localhost/named:latest", "localhost/run:latest"]
    assert plan_prune(stored_images(engine), needed, builder=False) == ()


def test_an_image_that_came_into_use_meanwhile_stays(hosts: Hosts) -> None:
    engine = hosts().engine
    import_tiny(engine, "localhost/late:latest", "echo late")
    planned = plan_prune(stored_images(engine), Needed(), builder=False)
    podman(engine, "create", "localhost/late:latest")
    refused, removed = carry_out(engine, planned)
    assert (list(refused), removed) == (["localhost/late:latest"], 0)
    assert "in use" in refused["localhost/late:latest"] or "used by" in refused["localhost/late:latest"]


def test_where_images_are_built_the_way_there_goes(hosts: Hosts, tmp_path: Path) -> None:
    engine = hosts().engine
    make_base(engine, tmp_path)
    for number in (1, 2):
        folder = folder_of(tmp_path / f"folder-{number}", f"FROM {BASE}\nCOPY Containerfile /x{number}\nENV A=b\n")
        build_folder(engine, folder, tmp_path / f"work-{number}")
    made = identity(engine, MADE)
    before = len(stored_images(engine))
    assert before > 2
    assert prune(engine, Needed(), builder=True) == {}
    assert len(stored_images(engine)) < before
    assert {image.id for image in stored_images(engine) if image.names} == {made, identity(engine, BASE)}
    assert podman(engine, "run", "--rm", "--network", "host", MADE, "sh", "-c", "cat /x2").startswith("FROM")


def test_what_a_cut_build_left_goes_when_it_is_old(hosts: Hosts) -> None:
    engine = hosts().engine
    import_tiny(engine, "localhost/x:latest", "echo x")
    _leave_working_container(engine)
    assert cut_builds(engine) == (), "a build that goes on is left alone"
    later = time.time() + 2 * 3600
    ids = cut_builds(engine, now=later)
    assert len(ids) == 1
    remove_cut_builds(engine, ids)
    assert cut_builds(engine, now=later) == ()


def _leave_working_container(engine: ContainerEngine) -> None:
    """A build whose engine is killed in the middle of a step."""
    recipe = b'FROM localhost/x:latest\nRUN ["/bin/sh", "-c", "echo here; sleep 15"]\n'
    command = [*engine.command, "build", "--file", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as build:
        assert build.stdin is not None
        assert build.stdout is not None
        build.stdin.write(recipe)
        build.stdin.close()
        assert any(line.strip() == b"here" for line in build.stdout), "the step has begun"
        os.killpg(build.pid, signal.SIGKILL)
