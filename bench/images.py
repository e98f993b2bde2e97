"""What images cost: their size, building them again, and what a change of our code moves to a registry.

    python -m bench.images [--cold]

Base image and Python packages come from the cache, as in daily work; `--cold` makes them too (needs the package
sources). Everything happens in a container store and a registry of its own, in temporary directories. Bytes moved are
what the registry's blobs grow by. CPU seconds count the programs that are run. The images in Java are measured when
they can be built here: that needs Debian's packages of a JDK and of Felix, which the first build fetches.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.support.registry import RegistryServer, registry_server

from bench.machine import describe, table
from inaetics import resources
from inaetics.containers.builder import build, build_own
from inaetics.containers.engine import probe
from inaetics.containers.images import Sources, identity, image_names, local_reference, usual_names
from inaetics.containers.push import push
from inaetics.containers.store import Store, prepare, remove
from inaetics.errors import InaeticsError
from inaetics.units.container import ContainerEngine
from inaetics.units.references import split_reference

RUNS = 3
BUDGET_MB, BUDGET_CHANGE_MB = 40.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A store, a registry, sources of its own to change, and where to put what is not kept."""

    engine: ContainerEngine
    registry: RegistryServer
    sources: Sources
    scratch: Path


@contextmanager
def place() -> Iterator[Place]:
    """Everything the measurements need; nothing of it is left."""
    scratch = Path(tempfile.mkdtemp(prefix="inaetics-bench-"))
    store = Store(root=scratch / "containers", runroot=scratch / "run", settings=scratch / "settings")
    leave = shutil.ignore_patterns("__pycache__", "_shipped")
    shutil.copytree(resources.package_directory(), scratch / "inaetics", ignore=leave)
    sources = Sources(
        images=resources.images_directory(),
        package=scratch / "inaetics",
        lock=resources.node_lock(),
        java=resources.java_directory(),
    )
    engine = prepare(store, probe(scratch))
    try:
        with registry_server() as registry:
            flags = ("--cert-dir", str(registry.certificates))
            yield Place(engine=replace(engine, pull_flags=flags), registry=registry, sources=sources, scratch=scratch)
    finally:
        remove(store, engine)
        shutil.rmtree(scratch)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds of `work` and of the programs it runs."""
    began, used = time.monotonic(), sum(os.times()[:4])
    work()
    return time.monotonic() - began, sum(os.times()[:4]) - used


def told(measured: list[tuple[float, float]]) -> str:
    """Medians, for the table."""
    wall, cpu = (statistics.median(values) for values in zip(*measured, strict=True))
    return f"{wall:.1f} s ({cpu:.1f} CPU s)"


def blobs_mb(registry: RegistryServer) -> float:
    """What the registry's blobs take, in MB."""
    data = registry.directory / "data"
    return sum(path.stat().st_size for path in data.rglob("data") if path.is_file()) / 1e6


def pushed_mb(here: Place, name: str) -> float:
    """Push an image; returns by how many MB the registry grew."""
    before = blobs_mb(here.registry)
    with here.registry.client() as client:
        push(here.engine, client, name)
    return blobs_mb(here.registry) - before


def pushed(here: Place, name: str, budget: str) -> tuple[str, str, str]:
    """Push an image for the first time: its size there, and what was moved."""
    moved = pushed_mb(here, name)
    plain, tag = split_reference(name)
    with here.registry.client() as client:
        size = client.image(f"inaetics/{plain}", tag).size / 1e6
    return (f"image {name}, compressed; first push moves", f"{size:.1f} MB; {moved:.1f} MB", budget)


def layers(here: Place, name: str) -> str:
    """The sizes of a pushed image's layers, lowest first."""
    plain, tag = split_reference(name)
    with here.registry.client() as client:
        _, sizes = client.manifest(f"inaetics/{plain}", tag)
    return " + ".join(f"{size / 1e6:.1f}" for size in sizes.values()) + " MB"


def in_java(here: Place) -> Iterator[tuple[str, str, str]]:
    """The images that only who asks for them gets: on top of the usual ones, where they can be built."""
    images = here.sources.images
    for name in sorted(set(image_names(images)) - set(usual_names(images))):
        try:
            first = timed(partial(build, here.engine, here.sources, [name]))
        except InaeticsError as error:
            yield (f"image {name}", f"cannot be built here: {error}".splitlines()[0], "")
            continue
        yield (f"image {name}: build after the others", told([first]), "")
        yield pushed(here, name, "")
        yield ("its layers: base, Java and Felix, our agent", layers(here, name), "")


def changed(here: Place, number: int) -> None:
    """Change one line of our code."""
    module = here.sources.package / "errors.py"
    module.write_text(f"{module.read_text()}# {number}\n")


def code_changes(here: Place) -> Iterator[tuple[str, str, str]]:
    """A line of our code, `RUNS` times: build one agent, push it."""
    built, moved = [], []
    for number in range(RUNS):
        changed(here, number)
        built.append(timed(lambda: build(here.engine, here.sources, ["felix-agent"])))
        moved.append(pushed_mb(here, "felix-agent"))
    yield ("a line of our code changed: build of one agent image", told(built), "")
    yield ("the same: bytes that its push moves", f"{max(moved):.2f} MB", f"{BUDGET_CHANGE_MB:g} MB")


def own_image(here: Place) -> Iterator[tuple[str, str, str]]:
    """A folder of one's own on ours: first, unchanged, and with a file of it changed."""
    folder = here.scratch / "mine"
    folder.mkdir()
    (folder / "Containerfile").write_text(
        'FROM localhost/inaetics/node\nCOPY app.py /app.py\nCMD ["python3", "/app.py"]\n'
    )
    (folder / "app.py").write_text("print('hello')\n")

    def make() -> None:
        build_own(here.engine, here.sources, "mine", folder)

    yield ("a folder of one's own on the image node: first build", told([timed(make)]), "")
    yield ("again, nothing new", told([timed(make) for _ in range(RUNS)]), "")
    pushed_mb(here, "mine")
    (folder / "app.py").write_text("print('hello again')\n")
    yield ("a file of it changed", told([timed(make)]), "")
    yield ("bytes that its push moves", f"{pushed_mb(here, 'mine'):.2f} MB", "")


def same_twice(here: Place) -> str:
    """Whether a second build, in a store with another driver, gives the same image."""
    store = Store(root=here.scratch / "two", runroot=here.scratch / "two-run", settings=here.scratch / "two-settings")
    engine = prepare(store, replace(probe(here.scratch), storage_driver="vfs"))
    try:
        [again] = build(engine, here.sources, ["felix-agent"])
        return "yes" if again.identity == identity(here.engine, local_reference("felix-agent")) else "NO"
    finally:
        remove(store, engine)


def measure(here: Place, *, cold: bool) -> Iterator[tuple[str, str, str]]:
    """Every row: what, measured, budget."""
    if cold:
        with tempfile.TemporaryDirectory(dir=here.scratch) as cache:
            first = timed(lambda: build(here.engine, here.sources, cache=Path(cache)))
        yield ("all images from nothing: Debian packages, wheels, layers", told([first]), "")
    else:
        first = timed(lambda: build(here.engine, here.sources))
        yield ("all images into an empty store; base and packages cached", told([first]), "")
    again = [timed(lambda: build(here.engine, here.sources)) for _ in range(RUNS)]
    yield ("all images again, nothing new", told(again), "")
    for name in usual_names(here.sources.images):
        yield pushed(here, name, f"{BUDGET_MB:g} MB")
    yield ("felix-agent's layers: base, packages, our package", layers(here, "felix-agent"), "")
    yield from in_java(here)
    yield from code_changes(here)
    yield from own_image(here)
    yield ("the same image from a second store with another driver", same_twice(here), "yes")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cold", action="store_true", help="make the base image and the packages' layer too")
    cold = parser.parse_args().cold
    print(describe())
    with place() as here:
        print(table(("what", "measured", "budget"), measure(here, cold=cold)))


if __name__ == "__main__":
    main()
