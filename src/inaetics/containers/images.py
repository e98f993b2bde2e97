"""The system's images: built in layers without any registry, pushed to the cluster's, listed from there.

base (Debian's Python) → node (locked packages, our own package) → one thin image for each role. A folder below
`images/` with a Containerfile is an image; what an image is made of is digested into a label, so that a build with
nothing new is only a look at labels. Containerfiles copy and set: nothing runs while images are built.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inaetics.containers.base import Base, base, compile_modules, unpacked
from inaetics.containers.cache import cache_directory, scratch
from inaetics.containers.process import files_for, run
from inaetics.containers.tarball import content_hash, write_tar
from inaetics.containers.wheels import wheels
from inaetics.errors import CommandFailed, InvalidInput, NotFound
from inaetics.units.container import ContainerEngine

LABEL = "org.inaetics.inputs"
"""The label that holds the digest of everything an image was made from."""

BASE = "localhost/inaetics/base:latest"
SHARED = "node"
"""The image that the others start from; it is not pushed."""

PACKAGE_INSIDE = "/opt/inaetics/package"

_LOOK_S = 30.0
_BUILD_S = 300.0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What images are built from.

    `images` holds one folder an image, `package` is the folder of the Python package `inaetics`, `lock` names the
    packages beside it. `extra` maps an image's name to folders that are put beside its Containerfile under their key.
    """

    images: Path
    package: Path
    lock: Path
    extra: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An image in the store. `unchanged`: it was there already, made from the same."""

    name: str
    reference: str
    identity: str
    unchanged: bool


def image_names(images: Path) -> tuple[str, ...]:
    """The images that can be built and pushed, sorted."""
    found = sorted(path.parent.name for path in images.glob("*/Containerfile"))
    return tuple(name for name in found if name != SHARED)


def local_reference(name: str) -> str:
    """The name of an image in the build store."""
    return f"localhost/inaetics/{name}:latest"


def check_names(wanted: Sequence[str], images: Path) -> tuple[str, ...]:
    """The images meant: those named, or all; raises `NotFound` for one that there is not."""
    known = image_names(images)
    for name in wanted:
        if name not in known:
            raise NotFound(f"there is no image {name!r} (known: {', '.join(known)})")
    return tuple(wanted) or known


def build(
    engine: ContainerEngine,
    sources: Sources,
    names: Sequence[str] = (),
    *,
    refresh: bool = False,
    cache: Path | None = None,
    progress: Progress = lambda step: None,
) -> list[Built]:
    """Build the images named (none: all) into the engine's store, as far as something changed.

    `refresh` makes the base image anew, from today's packages. `progress` is told each step that takes time.
    Raises `NotFound` (an image, a program), `InvalidInput` (an image's folder lacks something), `CommandFailed`.
    """
    wanted = check_names(names, sources.images)
    with files_for("build images"):
        return _build_all(engine, sources, wanted, cache or cache_directory(), refresh=refresh, progress=progress)


def _build_all(
    engine: ContainerEngine, sources: Sources, wanted: Sequence[str], place: Path, *, refresh: bool, progress: Progress
) -> list[Built]:
    progress("base image")
    ground = base(cache=place, refresh=refresh)
    progress("Python packages")
    packages = wheels(sources.lock, ground, cache=place)
    with scratch(place, "build") as workplace:
        builder = _Builder(engine, sources, ground, packages, workplace, progress)
        builder.base()
        builder.shared()
        made = [builder.image(name) for name in wanted]
        builder.tidy()
        return made


def identity(engine: ContainerEngine, reference: str) -> str | None:
    """The digest of an image in the store, which is that of its configuration; None when it is not there."""
    return _inspect(engine, reference, "{{.Id}}")


class _Builder:
    """One build: the inputs, the scratch directory, and the digest chain from the base to the single image."""

    def __init__(
        self,
        engine: ContainerEngine,
        sources: Sources,
        ground: Base,
        packages: Path,
        workplace: Path,
        progress: Progress,
    ) -> None:
        self._engine = engine
        self._sources = sources
        self._ground = ground
        self._packages = packages
        self._workplace = workplace
        self._progress = progress
        self._built = False
        self._modules = _package_files(sources.package)
        self._package_hash = content_hash(self._modules, relative_to=sources.package)

    def base(self) -> None:
        if self._is_current(BASE, self._ground.key):
            return
        self._progress("importing the base image")
        label = f"LABEL {LABEL}={self._ground.key}"
        quiet = self._podman_only("--quiet")
        self._run("import", *quiet, "--change", label, self._ground.archive, BASE, doing="import the base image")

    def shared(self) -> None:
        inputs = self._inputs(SHARED)
        if self._is_current(local_reference(SHARED), inputs):
            return
        self._progress(f"image {SHARED}")
        context = self._context(SHARED)
        _link(self._packages, context / "wheels.tar")
        self._pack_package(context / "package.tar")
        self._build(SHARED, context, inputs)

    def image(self, name: str) -> Built:
        reference = local_reference(name)
        inputs = self._inputs(name)
        unchanged = self._is_current(reference, inputs)
        if not unchanged:
            self._progress(f"image {name}")
            self._build(name, self._context(name), inputs)
        made = identity(self._engine, reference)
        if made is None:
            raise CommandFailed(f"image {reference} was built and is not in the store", status=1, output="")
        return Built(name=name, reference=reference, identity=made, unchanged=unchanged)

    def tidy(self) -> None:
        """Let go of the images of ours that a newer one replaced, if one did."""
        if self._built:
            self._run("image", "prune", "--force", "--filter", f"label={LABEL}", doing="remove replaced images")

    def _inputs(self, name: str) -> str:
        """The digest of everything that image `name` is made from, down to the base."""
        below = [self._ground.key, self._packages.name, self._package_hash]
        own = [_tree_hash(self._sources.images / each) for each in dict.fromkeys((SHARED, name))]
        extra = [(key, _tree_hash(path)) for key, path in sorted(self._extra(name).items())]
        return hashlib.sha256(repr((below, own, extra)).encode()).hexdigest()[:32]

    def _extra(self, name: str) -> Mapping[str, Path]:
        return self._sources.extra.get(name, {})

    def _context(self, name: str) -> Path:
        context = self._workplace / name
        shutil.copytree(self._sources.images / name, context)
        for key, path in self._extra(name).items():
            shutil.copytree(path, context / key)
        for wanted in re.findall(r"^COPY\s+(\S+)\s", (context / "Containerfile").read_text(), flags=re.MULTILINE):
            if not (context / wanted).exists():
                raise InvalidInput(f"image {name} copies {wanted!r}, which is not in its folder and was not given")
        return context

    def _pack_package(self, archive: Path) -> None:
        tree = self._workplace / "package"
        inside = tree / PACKAGE_INSIDE.lstrip("/") / "inaetics"
        for module in self._modules:
            copy = inside / module.relative_to(self._sources.package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, copy)
        with unpacked(self._ground.archive) as root:
            compile_modules(root, inside, inside=f"{PACKAGE_INSIDE}/inaetics")
        write_tar(archive, tree)

    def _build(self, name: str, context: Path, inputs: str) -> None:
        self._built = True
        label, tag = ("--label", f"{LABEL}={inputs}"), ("--tag", local_reference(name))
        never = self._podman_only("--pull=never")
        recipe = ("--file", context / "Containerfile")
        self._run("build", "--quiet", *never, *label, *tag, *recipe, context, doing=f"build image {name}")

    def _is_current(self, reference: str, inputs: str) -> bool:
        return _inspect(self._engine, reference, f'{{{{index .Config.Labels "{LABEL}"}}}}') == inputs

    def _podman_only(self, *flags: str) -> tuple[str, ...]:
        return flags if self._engine.kind == "podman" else ()

    def _run(self, *arguments: str | Path, doing: str) -> None:
        run([*self._engine.command, *arguments], doing=doing, timeout_s=_BUILD_S)


def _inspect(engine: ContainerEngine, reference: str, template: str) -> str | None:
    """One fact of an image in the store, None when it is not there."""
    try:
        return run(
            [*engine.command, "image", "inspect", "--format", template, reference],
            doing=f"look at image {reference}",
            timeout_s=_LOOK_S,
        )
    except CommandFailed as error:
        if "no such image" in error.output.lower() or "image not known" in error.output.lower():
            return None
        raise


def _package_files(package: Path) -> list[Path]:
    """The files of our package that an image holds: modules and their data, nothing compiled, nothing linked."""
    found: list[Path] = []
    for directory, subdirectories, names in os.walk(package):
        subdirectories[:] = sorted(name for name in subdirectories if name not in ("__pycache__", "_shipped"))
        found += [Path(directory) / name for name in sorted(names) if not name.startswith(".")]
    return found


def _tree_hash(tree: Path) -> str:
    return content_hash([path for path in tree.rglob("*") if path.is_file()], relative_to=tree)


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
