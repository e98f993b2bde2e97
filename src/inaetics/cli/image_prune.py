"""`inaetics image prune`: what nobody needs any more goes from the hosts' container stores and the build cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inaetics.cli.common import cluster_option, output_option, print_json, print_table, say

if TYPE_CHECKING:
    from inaetics.containers.prune import Needed, Removal
    from inaetics.units.container import ContainerEngine


@click.command("prune")
@click.option("--plan", is_flag=True, help="Say what would be removed, and why; remove nothing.")
@click.option("--registry", is_flag=True, help="From the cluster's registries instead: what no tag means any more.")
@output_option
@cluster_option
def prune(plan: bool, registry: bool, output: str, cluster: str) -> int:
    """Remove images that no unit runs and no tag of the registry means, from this machine's hosts' stores.

    Where images are built, those with a name stay, and what builds only used on the way goes, with the older archives
    of the build cache and what builds that were cut left. Sizes are uncompressed, and count layers that images share.
    Nothing is removed while no fleet API or no registry answers: then nobody knows what is needed.

    With --registry, one registry after the other gives up images that no tag means, no unit, placement or update on
    record names, and that are older than a day, and then what only they were made of; and archives of bundles that were
    removed or replaced, once no version of the mapping is kept that names them. Pulling goes on meanwhile.

    \b
      inaetics image prune --plan       what would go, and why
      inaetics image prune
      inaetics image prune --registry
    """
    if registry:
        from inaetics.cli.image_registries import prune_registries, show_pruned

        given_up = prune_registries(cluster, dry_run=plan)
        show_pruned(given_up, output, dry_run=plan)
        return int(any(each.trouble for each in given_up))
    found = list(_stores(cluster))
    spare = _spare()
    rows = [row for store in found for row in _rows(store)]
    rows += [
        _Row(host="build cache", image=path.name, size=path.stat().st_size, reason="the last build used another")
        for path in spare
    ]
    refused = {} if plan else _remove(found, spare)
    outcome = "would go" if plan else "removed"
    _show([replace(row, result=_result(row, refused) or outcome) for row in rows], output, plan=plan)
    return 1 if refused else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What people are told of one removal, or of all images of a host that have no name; `size` in bytes."""

    host: str
    image: str
    size: int
    reason: str
    result: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """One host's store and what to remove from it; `cut` are the working containers of builds that were cut."""

    host: str
    engine: ContainerEngine
    removals: tuple[Removal, ...]
    cut: tuple[str, ...] = ()


def _rows(store: _Store) -> Iterator[_Row]:
    nameless = [each for each in store.removals if each.nameless]
    for each in store.removals:
        if not each.nameless:
            yield _Row(host=store.host, image=each.image.title, size=each.image.size, reason=each.reason)
    if nameless:
        size = sum(each.own for each in nameless)
        yield _Row(host=store.host, image=f"{len(nameless)} without a name", size=size, reason=nameless[0].reason)


def _result(row: _Row, refused: Mapping[tuple[str, str], str]) -> str:
    """Why an image is still there; nothing when it is not."""
    nameless = row.image.endswith(" without a name")
    said = [words for (host, image), words in refused.items() if host == row.host and (nameless or image == row.image)]
    return said[0] if said else ""


def _stores(cluster: str) -> Iterator[_Store]:
    from inaetics.containers.prune import cut_builds, plan_prune, stored_images
    from inaetics.hosts.cluster import load
    from inaetics.hosts.engines import engine_of
    from inaetics.hosts.paths import cluster_paths

    paths = cluster_paths(cluster)
    made = load(paths)
    wanted = _needed(cluster)
    for host in made.hosts:
        engine = engine_of(paths.host(host.name))
        if engine is None:
            continue
        if engine.kind == "docker":
            say("the hosts share docker's images: 'docker image prune' removes what has no name")
            return
        builder = host.name == made.builder.name
        removals = plan_prune(stored_images(engine), wanted, builder=builder)
        yield _Store(host=host.name, engine=engine, removals=removals, cut=cut_builds(engine) if builder else ())


def _needed(cluster: str) -> Needed:
    """What units need, and what the registry's tags mean."""
    from inaetics.cli.image_use import needed
    from inaetics.cli.image_work import workshop
    from inaetics.cli.session import Session
    from inaetics.containers.prune import Needed

    shop = workshop(cluster)
    with Session(cluster=cluster).client() as client:
        units = needed(client, shop.registry)
    with shop.connect() as registry:
        tagged = {image.digest for image in registry.images()}
    return Needed(digests=frozenset({*units.digests, *tagged}), names=units.names)


def _spare() -> tuple[Path, ...]:
    from inaetics.containers.cache import cache_directory
    from inaetics.containers.prune import spare_archives

    return spare_archives(cache_directory())


def _remove(found: list[_Store], spare: tuple[Path, ...]) -> dict[tuple[str, str], str]:
    """Remove it; returns what an engine refused, by host and image."""
    from inaetics.containers.prune import carry_out, remove_cut_builds

    refused: dict[tuple[str, str], str] = {}
    for store in found:
        remove_cut_builds(store.engine, store.cut)
        words, _ = carry_out(store.engine, store.removals)
        refused |= {(store.host, image): said for image, said in words.items()}
    for path in spare:
        path.unlink(missing_ok=True)
    return refused


def _show(rows: Sequence[_Row], output: str, *, plan: bool) -> None:
    if output == "json":
        print_json([asdict(row) for row in rows])
        return
    if not rows:
        say("nothing to remove: everything is needed")
        return
    cells = [(row.host, row.image, f"{row.size / 1e6:.1f}", row.reason, row.result) for row in rows]
    print_table(("HOST", "IMAGE", "MB", "WHY", "RESULT"), cells)
    if plan:
        say("nothing was removed; without --plan it is")
