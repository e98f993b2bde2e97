"""`inaetics image inspect`: what an image is, what it was made from, and which units run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say
from inaetics.errors import NotFound, Unavailable
from inaetics.units.references import split_reference

if TYPE_CHECKING:
    from inaetics.cli.image_use import Use
    from inaetics.cli.image_work import Workshop


@click.command("inspect")
@click.argument("name", metavar="IMAGE[:TAG]")
@output_option
@cluster_option
def inspect(name: str, output: str, cluster: str) -> None:
    """Show an image of the cluster's registry: digest, layers, what it was made from, which units run it.

    What a unit runs is the digest that it keeps; 'inaetics image update' gives it the one that the tag means now.

    \b
      inaetics image inspect felix-agent
      inaetics image inspect mine:1.2 -o json
    """
    from inaetics.cli.image_work import workshop

    seen = _look(workshop(cluster), name)
    used = _uses(cluster, seen.reference)
    if output == "json":
        print_json(_as_json(seen, used))
        return
    print_table((), _facts(seen))
    click.echo()
    print_table(("LAYER", "MB", "WHAT"), [(digest[:19], _mb(size), what) for digest, size, what in seen.layers])
    click.echo()
    if used:
        print_table(("UNIT", "MACHINE", "RUNS"), list(_rows(used, seen.digest)))
    elif used is not None:
        say("no unit uses it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An image as the registry has it; where it has none, as it was built, without digest and sizes.

    `layers` are digest, compressed bytes (None: not known) and how it came about. `local` is the id of the image of
    that name in the build store.
    """

    reference: str
    digest: str = ""
    identity: str = ""
    layers: tuple[tuple[str, int | None, str], ...]
    origin: dict[str, str]
    local: str | None = None


def layer_steps(configuration: dict[str, Any]) -> list[str]:
    """How each layer came about, lowest first, from an image's history; shorter than the layers when it says less."""
    steps = (step for step in configuration.get("history") or () if not step.get("empty_layer"))
    return [" ".join(str(step.get("created_by", "")).replace("/bin/sh -c #(nop) ", "").split()) for step in steps]


def repository_and_tag(name: str) -> tuple[str, str]:
    """`felix-agent` is `inaetics/felix-agent` and `latest`; a name with a slash is the whole repository's."""
    path, tag = split_reference(name)
    return path if "/" in path else f"inaetics/{path}", tag


def _look(shop: Workshop, name: str) -> Seen:
    from inaetics.containers.images import identity, local_reference, origin

    repository, tag = repository_and_tag(name)
    short = repository.removeprefix("inaetics/")
    if tag != "latest" and not tag.startswith("sha256:"):
        short = f"{short}:{tag}"
    local = identity(shop.engine, local_reference(short)) if "/" not in short else None
    reference = f"{repository}{'@' if tag.startswith('sha256:') else ':'}{tag}"
    with shop.connect() as registry:
        try:
            image = registry.image(repository, tag)
        except NotFound:
            if local is None:
                raise NotFound(
                    f"there is no image {reference!r} in the registry, and none is built (what there is: inaetics image"
                    f" list; build it: inaetics image build {short})"
                ) from None
            return _built(shop, short, reference, local)
        digest, sizes = registry.manifest(repository, tag)
        configuration = registry.configuration(repository, image.identity)
    steps = layer_steps(configuration)
    steps += [""] * (len(sizes) - len(steps))
    labels = (configuration.get("config") or {}).get("Labels") or {}
    return Seen(
        reference=reference,
        digest=digest,
        identity=image.identity,
        layers=tuple((layer, size, step) for (layer, size), step in zip(sizes.items(), steps, strict=False)),
        origin=origin(labels),
        local=local,
    )


def _built(shop: Workshop, name: str, reference: str, local: str) -> Seen:
    from inaetics.containers.images import labels_of, layers_of, local_reference, origin

    layers = layers_of(shop.engine, local_reference(name)) or ()
    return Seen(
        reference=reference,
        identity=f"sha256:{local}",
        layers=tuple((layer, None, "") for layer in layers),
        origin=origin(labels_of(shop.engine, local_reference(name)) or {}),
        local=local,
    )


def _uses(cluster: str, reference: str) -> list[Use] | None:
    """The units that use the image; None while no API answers."""
    from inaetics.cli.image_use import uses
    from inaetics.cli.session import Session

    try:
        with Session(cluster=cluster).client() as client:
            return [use for use in uses(client) if is_of(use.image, reference)]
    except Unavailable as error:
        say(f"warning: which units use it is not known: {error}")
        return None


def is_of(image: str, reference: str) -> bool:
    """Whether a unit's image, as its file names it, is `reference`: in whatever registry, by tag or by any digest."""
    (theirs, their_tag), (ours, our_tag) = repository_and_tag(image), repository_and_tag(reference)
    by_digest = "sha256:" in their_tag + our_tag
    return f"/{theirs}".endswith(f"/{ours}") and (by_digest or their_tag == our_tag)


def _facts(seen: Seen) -> Sequence[tuple[str, str]]:
    total = sum(size or 0 for _, size, _ in seen.layers)
    size = f"{_mb(total)} MB compressed, in {len(seen.layers)} layers" if seen.digest else "not pushed yet"
    made = ", ".join(f"{key} {value}" for key, value in seen.origin.items())
    return [
        ("image", seen.reference),
        ("digest", seen.digest or "not in the registry (inaetics image push)"),
        ("id", seen.identity),
        ("size", size),
        ("made from", made or "it does not say"),
        ("built here", _local(seen)),
    ]


def _local(seen: Seen) -> str:
    if seen.local is None:
        return "no"
    same = seen.local.removeprefix("sha256:") == seen.identity.removeprefix("sha256:")
    return "the same" if same else f"another one, {seen.local[:12]} (push it: inaetics image push)"


def _rows(used: Sequence[Use], digest: str) -> list[tuple[str, str, str]]:
    rows = []
    for use in used:
        for machine, runs in use.runs or (("", ""),):
            rows.append((use.unit, machine, _runs(runs or use.keeps, digest)))
    return rows


def _runs(runs: str, digest: str) -> str:
    if not runs:
        return "not known yet"
    return "this one" if runs == digest else f"another one, {runs[:19]}"


def _mb(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.2f}"


def _as_json(seen: Seen, used: list[Use] | None) -> dict[str, object]:
    layers = [{"digest": digest, "size": size, "made_by": what} for digest, size, what in seen.layers]
    units = (
        None
        if used is None
        else [{"unit": use.unit, "keeps": use.keeps or None, "machines": dict(use.runs)} for use in used]
    )
    return {
        "image": seen.reference,
        "digest": seen.digest or None,
        "id": seen.identity,
        "layers": layers,
        "made_from": seen.origin,
        "built_here": seen.local,
        "units": units,
    }
