"""What `up` was asked for against what exists: which cluster it will be. Decides and refuses; starts nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from inaetics.errors import Conflict, InvalidInput, NotFound
from inaetics.hosts.cluster import (
    DEFAULT_WORKERS,
    Cluster,
    Host,
    check_subnet,
    check_workers,
    command,
    control_of,
    free_subnet,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked `up` for; None leaves it as it is, or to the default of a new cluster."""

    hosts: tuple[str, ...] = ()
    workers: int | None = None
    subnet: str | None = None
    remove: bool = False
    """Whether workers that are too many may be removed, with what they hold."""
    bootstrap: bool = True
    """Whether a new cluster gets a bootstrap host, and a bootstrap host that there is gets started."""

    def __post_init__(self) -> None:
        """Refuse what no cluster can be."""
        if self.workers is not None:
            check_workers(self.workers)
        if self.hosts and self.workers is not None:
            raise InvalidInput("give hosts or --workers, not both: --workers is about the whole cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The cluster as it shall be, and the workers of the present one that are too many."""

    cluster: Cluster
    surplus: tuple[Host, ...] = ()


def settle(present: Cluster | None, name: str, request: Request, used_subnets: Mapping[str, str]) -> Settled:
    """Decide what the cluster `name` shall be.

    Raises `Conflict` for what would lose something or cannot be changed, `NotFound` for hosts that do not exist.
    `used_subnets` maps subnets to the clusters that have them.
    """
    if present is None:
        return Settled(cluster=_new(name, request, used_subnets))
    if request.subnet is not None and (wanted := check_subnet(request.subnet)) != present.subnet:
        raise Conflict(
            f"cluster {name!r} lives on {present.subnet}, not on {wanted}: its certificates name its addresses"
            f" (another cluster there: inaetics up --cluster NAME --subnet {wanted})"
        )
    for host in request.hosts:
        present.host(host)
    workers = request.workers or present.workers
    if workers >= present.workers:
        return Settled(cluster=replace(present, workers=workers))
    return _fewer(present, workers, remove=request.remove)


def _new(name: str, request: Request, used: Mapping[str, str]) -> Cluster:
    if request.hosts:
        raise NotFound(f"there is no cluster {name!r}, so no host of it (make it: {command(name, 'up')})")
    subnet = free_subnet(used) if request.subnet is None else check_subnet(request.subnet)
    if subnet in used:
        raise Conflict(
            f"subnet {subnet} belongs to cluster {used[subnet]!r}"
            " (take another, or leave --subnet out: then a free one is found)"
        )
    workers = DEFAULT_WORKERS if request.workers is None else request.workers
    return Cluster(
        name=name,
        subnet=subnet,
        workers=workers,
        control=control_of(workers),
        bootstrap=request.bootstrap,
        created=time.time(),
        id=secrets.token_hex(8),
    )


def _fewer(present: Cluster, workers: int, *, remove: bool) -> Settled:
    surplus = tuple(present.worker(number) for number in range(workers + 1, present.workers + 1))
    names = ", ".join(host.name for host in surplus)
    if control := [host.name for host in surplus if host.control]:
        raise Conflict(
            f"cannot go down to {workers} workers: {', '.join(control)} hold the store; this cluster needs at least"
            f" {len(present.control)} (a smaller one: {command(present.name, 'destroy')}, then up --workers {workers})"
        )
    if not remove:
        again = command(present.name, f"up --workers {workers} --remove")
        only_halt = command(present.name, f"halt {' '.join(host.name for host in surplus)}")
        raise Conflict(
            f"the cluster has {present.workers} workers; {names} would be removed with their images and data"
            f" (do so: {again}; only switch them off: {only_halt})"
        )
    return Settled(cluster=replace(present, workers=workers), surplus=surplus)
