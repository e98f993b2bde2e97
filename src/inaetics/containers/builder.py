"""Building images: in layers, without any registry, with the same digest wherever and whenever the same is built.

What an image is made of is digested into a label, so that a build with nothing new is only a look at labels. The layers
with files of ours are written by us (`layout`), so that a change of our code is one small layer; Containerfiles are the
engine's business (`folder_build`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from inaetics.containers.base import Base, base
from inaetics.containers.cache import alone, cache_directory, scratch
from inaetics.containers.context import bases_of, copy_context, full_name, recipe_of
from inaetics.containers.folder_build import Folder, base_identity, build_folder
from inaetics.containers.images import (
    BASE,
    JAVA,
    LABEL,
    LAYERS,
    ORIGINS,
    SHARED,
    Built,
    Progress,
    Sources,
    check_names,
    folder_of,
    identity,
    image_names,
    inspect,
    local_reference,
)
from inaetics.containers.java import agent_files, java, write_layers
from inaetics.containers.layout import Layer, load, write_layout
from inaetics.containers.native import compiler
from inaetics.containers.package import package_files, write_package
from inaetics.containers.process import files_for, run
from inaetics.containers.tarball import content_hash
from inaetics.containers.wheels import wheels
from inaetics.errors import CommandFailed, InvalidInput
from inaetics.units.container import ContainerEngine

_BUILD_S = 600.0

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")


def build(
    engine: ContainerEngine,
    sources: Sources,
    names: Sequence[str] = (),
    *,
    start: str | None = None,
    refresh: bool = False,
    cache: Path | None = None,
    progress: Progress = lambda step: None,
) -> list[Built]:
    """Build the images named (none: the usual ones) into the engine's store, as far as something changed.

    `start` is an image that they start from instead of `node`; `refresh` makes the base image anew, from today's
    packages. `progress` is told each step that takes time.
    Raises `NotFound` (an image, a program), `InvalidInput` (an image's folder lacks something), `CommandFailed`.
    """
    wanted = check_names(names, sources.images)
    if start is not None:
        _check_bases(engine, sources.images, [start])
    with files_for("build images"), _workshop(engine, sources, cache, refresh, progress) as builder:
        builder.shared()
        made = [builder.image(name, start=start) for name in wanted]
        builder.tidy()
        return made


def build_own(
    engine: ContainerEngine,
    sources: Sources,
    name: str,
    context: Path,
    *,
    start: str | None = None,
    cache: Path | None = None,
    progress: Progress = lambda step: None,
) -> Built:
    """Build the folder `context` with its Containerfile as image `name`; what of ours it starts from is built before.

    `start` is the image to start from instead of what the Containerfile's first FROM says. Raises `NotFound` (folder,
    the image it starts from), `InvalidInput` (a name of ours, no Containerfile), `CommandFailed` (engine's words).
    """
    _check_own_name(name, sources.images)
    recipe = recipe_of(context)
    bases = bases_of(recipe)
    if start is not None:
        bases = (start, *bases[1:])
    _check_bases(engine, sources.images, bases)
    ours = [each for each in image_names(sources.images) if local_reference(each) in map(full_name, bases)]
    with files_for(f"build image {name}"), _workshop(engine, sources, cache, False, progress) as builder:
        builder.shared()
        for each in ours:
            builder.image(each)
        return builder.own(name, context, recipe.name, bases, start=start)


@contextmanager
def _workshop(
    engine: ContainerEngine, sources: Sources, cache: Path | None, refresh: bool, progress: Progress
) -> Iterator[_Builder]:
    """A builder with the base image and the Python packages, and a scratch directory that goes afterwards."""
    place = cache or cache_directory()
    with alone(place):
        progress("base image")
        ground = base(cache=place, refresh=refresh)
        progress("Python packages")
        packages = wheels(sources.lock, ground, cache=place)
    with scratch(place, "build") as workplace:
        yield _Builder(engine, sources, ground, packages, workplace, progress, cache=place, refresh=refresh)


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
        *,
        cache: Path,
        refresh: bool,
    ) -> None:
        self._cache = cache
        self._refresh = refresh
        self._engine = engine
        self._sources = sources
        self._ground = ground
        self._packages = packages
        self._workplace = workplace
        self._progress = progress
        self._built = False
        self._modules = package_files(sources.package)
        files = content_hash(self._modules, relative_to=sources.package)
        self._package_hash = hashlib.sha256((files + compiler(self._modules)).encode()).hexdigest()

    def shared(self) -> None:
        """The images that the others start from: base, layers, node."""
        ground = Layer(archive=self._ground.archive, made_by="Debian packages: Python, busybox, certificates")
        self._put_together(BASE, [ground], self._ground.key)
        below = self._digest(self._ground.key, self._packages.name, self._package_hash)
        if not self._is_current(LAYERS, below):
            package = self._workplace / "package.tar"
            self._progress("our package")
            tree = self._workplace / "package"
            write_package(package, self._sources.package, self._modules, self._ground, tree)
            layers = [
                ground,
                Layer(archive=self._packages, made_by="locked Python packages"),
                Layer(archive=package, made_by=f"the package inaetics {self._sources.version}".rstrip()),
            ]
            self._put_together(LAYERS, layers, below)
        self._from_folder(SHARED, self._inputs())

    def image(self, name: str, *, start: str | None = None) -> Built:
        """One of the system's images, from its folder; on `start` instead of the image `node`."""
        inputs = self._inputs(name)
        bases: tuple[str, ...] = (local_reference(SHARED),)
        if start is None and JAVA in bases_of(recipe_of(folder_of(name, self._sources.images))):
            bases = (JAVA,)
            inputs = self._digest(inputs, self._java())
        if start is not None:
            bases = (start,)
            inputs = self._digest(inputs, base_identity(self._engine, start))
        unchanged = self._from_folder(name, inputs, bases, start=start)
        return self._made(name, unchanged=unchanged)

    def _java(self) -> str:
        """The image that those in Java start from; returns the digest of what it is made from."""
        sources = self._sources.java
        if sources is None:
            raise InvalidInput("the Java agent's sources are not here: images in Java cannot be built")
        self._progress("Java runtime")
        with alone(self._cache):
            kit = java(cache=self._cache, refresh=self._refresh)
        inputs = self._digest(self._ground.key, kit.key, content_hash(agent_files(sources), relative_to=sources))
        if not self._is_current(JAVA, inputs):
            self._progress("Java agent")
            runtime, agent = write_layers(kit, sources, self._workplace / "java")
            layers = [
                Layer(archive=self._ground.archive, made_by="Debian packages: Python, busybox, certificates"),
                Layer(archive=runtime, made_by="Debian packages: a Java runtime, Apache Felix"),
                Layer(archive=agent, made_by=f"the Java agent {self._sources.version}".rstrip()),
            ]
            self._put_together(JAVA, layers, inputs)
        return inputs

    def own(self, name: str, context: Path, recipe: str, bases: Sequence[str], *, start: str | None) -> Built:
        """An image of somebody's own. The engine looks for itself what has changed: its layers are cached."""
        before = identity(self._engine, local_reference(name))
        self._progress(f"image {name}")
        copy = self._workplace / f"context-{_plain(name)}"
        copy_context(context, copy)
        digest = _tree_hash(copy)[:32]
        below = [base_identity(self._engine, each) for each in bases]
        labels = {ORIGINS["context"]: digest, LABEL: self._digest(digest, *below)}
        self._build(name, copy, copy / recipe, labels, bases, start=start)
        made = self._made(name, unchanged=False)
        return Built(name=name, reference=made.reference, identity=made.identity, unchanged=made.identity == before)

    def tidy(self) -> None:
        """Let go of the images of ours that a newer one replaced, if one did."""
        if self._built:
            self._run("image", "prune", "--force", "--filter", f"label={LABEL}", doing="remove replaced images")

    def _put_together(self, reference: str, layers: Sequence[Layer], inputs: str) -> None:
        """An image that holds files and nothing else, written by us."""
        if self._is_current(reference, inputs):
            return
        self._progress(f"loading {reference}")
        self._built = True
        labels = {LABEL: inputs, **self._origin()}
        layout = self._workplace / f"layout-{_plain(reference)}"
        made = write_layout(layout, layers, labels=labels, architecture=self._ground.architecture)
        load(self._engine, layout, reference, identity=made)

    def _from_folder(
        self, name: str, inputs: str, bases: Sequence[str] = (LAYERS,), *, start: str | None = None
    ) -> bool:
        """Build one of our folders; returns whether the image was there already."""
        if self._is_current(local_reference(name), inputs):
            return True
        self._progress(f"image {name}")
        context = self._context(name)
        self._build(name, context, context / "Containerfile", {LABEL: inputs}, bases, start=start)
        return False

    def _build(
        self,
        name: str,
        context: Path,
        recipe: Path,
        labels: Mapping[str, str],
        bases: Sequence[str],
        *,
        start: str | None = None,
    ) -> None:
        self._built = True
        folder = Folder(
            context=context,
            recipe=recipe,
            reference=local_reference(name),
            bases=tuple(bases),
            labels=labels,
            start=start,
        )
        build_folder(self._engine, folder, self._workplace / f"built-{_plain(name)}")

    def _made(self, name: str, *, unchanged: bool) -> Built:
        reference = local_reference(name)
        made = identity(self._engine, reference)
        if made is None:
            raise CommandFailed(f"image {reference} was built and is not in the store", status=1, output="")
        return Built(name=name, reference=reference, identity=made, unchanged=unchanged)

    def _origin(self) -> dict[str, str]:
        values = {
            "base": self._ground.key,
            "lock": hashlib.sha256(self._sources.lock.read_bytes()).hexdigest()[:16],
            "package": self._package_hash[:16],
            "version": self._sources.version,
        }
        return {ORIGINS[key]: value for key, value in values.items() if value}

    def _inputs(self, *names: str) -> str:
        """The digest of everything that the image `node`, or one on it, is made from, down to the base."""
        below = [self._ground.key, self._packages.name, self._package_hash, self._sources.version]
        own = [_tree_hash(folder_of(each, self._sources.images)) for each in (SHARED, *names)]
        return self._digest(repr((below, own)))

    def _digest(self, *parts: str) -> str:
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]

    def _context(self, name: str) -> Path:
        context = self._workplace / f"context-{_plain(name)}"
        copy_context(folder_of(name, self._sources.images), context)
        for wanted in re.findall(r"^COPY\s+(\S+)\s", (context / "Containerfile").read_text(), flags=re.MULTILINE):
            if not wanted.startswith("--") and not (context / wanted).exists():
                raise InvalidInput(f"image {name} copies {wanted!r}, which is not in its folder")
        return context

    def _is_current(self, reference: str, inputs: str) -> bool:
        return inspect(self._engine, reference, f'{{{{index .Config.Labels "{LABEL}"}}}}') == inputs

    def _run(self, *arguments: str | Path, doing: str) -> None:
        run([*self._engine.command, *arguments], doing=doing, timeout_s=_BUILD_S)


def _plain(name: str) -> str:
    """An image's name as part of a path that engines read: without colons and slashes."""
    return re.sub(r"[:/]", "-", name)


def _check_bases(engine: ContainerEngine, images: Path, bases: Sequence[str]) -> None:
    """Raise `NotFound` for an image to start from that is not there, and is none that is built on the way."""
    ours = {BASE, LAYERS, *(local_reference(name) for name in (SHARED, *image_names(images)))}
    for each in bases:
        if full_name(each) not in ours:
            base_identity(engine, each)


def _check_own_name(name: str, images: Path) -> None:
    if name in ("base", "layers", SHARED, *image_names(images)):
        raise InvalidInput(f"image {name!r} is one of the system's: choose another name for your own")
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name an image: small letters and digits, with single dots, dashes or underscores between"
        )


def _tree_hash(tree: Path) -> str:
    return content_hash([path for path in tree.rglob("*") if path.is_file()], relative_to=tree)
