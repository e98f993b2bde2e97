"""What travels about hosts: the machines of the cluster, also those that are not there just now."""

from __future__ import annotations

from msgspec import Struct


class WentUnit(Struct, frozen=True, kw_only=True):
    """A unit that ran on a host that is lost. `machine` has it now, "" while none does; `active` is its state there."""

    name: str
    machine: str = ""
    active: str = ""


class HostEntry(Struct, frozen=True, kw_only=True):
    """A host. `state`: "up", "cordoned" or "lost"; `offices`: what it is beside a worker, for people.

    Of one that is lost: `since` is when, in Unix seconds by the clock of whoever answers, None where that did not see
    it; `ran` is what it ran then, as far as the events there go back.
    """

    name: str
    address: str
    state: str
    offices: tuple[str, ...] = ()
    since: float | None = None
    ran: tuple[WentUnit, ...] = ()


class HostList(Struct, frozen=True, kw_only=True):
    """Workers by name. `local`: the cluster runs on one machine, and its hosts can be switched off and on from here."""

    revision: int
    hosts: tuple[HostEntry, ...] = ()
    local: bool = False


class Inventory(Struct, frozen=True, kw_only=True):
    """The cluster's workers as `up` knows them, in the store under `INVENTORY`."""

    hosts: tuple[InventoryHost, ...] = ()


class InventoryHost(Struct, frozen=True, kw_only=True):
    """`control`: it carries a member of the store, an API and a candidate for the engine."""

    name: str
    address: str
    control: bool = False


INVENTORY = "/inaetics/control/hosts"
