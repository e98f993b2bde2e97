"""Who answers a call for a service that was given up: its successor in the same agent.

A new version of a bundle exports its services before the old ones go, under endpoints of their own. A caller learns of
both some milliseconds later, through etcd, and until then goes on calling the old endpoint. Such a call is carried out
by the new version's service, so an update is not noticed.

A successor comes from the same bundle and offers the same specifications; where the bundle offers several such
services, it is of the same class, and the component has the same name (but for the version in it).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pelix.ipopo.constants import IPOPO_INSTANCE_NAME
from pelix.rsa.endpointdescription import EndpointDescription

MOST = 10_000
"""Endpoints remembered, the latest ones. While etcd is away an importer goes on calling an old one for as long."""

Export = tuple[Any, EndpointDescription]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a service is, whichever version of its bundle it comes from."""

    bundle: str
    interfaces: tuple[str, ...]
    part: tuple[str, str, str]
    """Module, class and component, without the version."""


def role(export: Export) -> Role | None:
    """The role of an exported service; None for one whose class is of no bundle."""
    service, endpoint = export
    package, _, module = type(service).__module__.partition(".")
    bundle = getattr(sys.modules.get(package), "__bundle__", None)
    if bundle is None:
        return None
    instance = str(endpoint.get_properties().get(IPOPO_INSTANCE_NAME, ""))
    part = (module, type(service).__qualname__, instance.removeprefix(package))
    return Role(bundle=str(bundle), interfaces=tuple(sorted(endpoint.get_interfaces())), part=part)


class Successors:
    """Remembers what endpoints were. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gone: dict[str, Role] = {}

    def leaves(self, endpoint: str, export: Export) -> None:
        """An endpoint is about to go. Say it before it is gone: calls come all the time."""
        known = role(export)
        with self._lock:
            if known is not None:
                self._gone[endpoint] = known
            while len(self._gone) > MOST:
                del self._gone[next(iter(self._gone))]

    def of(self, endpoint: str, exports: Iterable[Export]) -> Export | None:
        """The one among `exports` that took the role of `endpoint`, the newest if there are several."""
        with self._lock:
            wanted = self._gone.get(endpoint)
        if wanted is None:
            return None
        there = [(found, export) for export in exports if (found := role(export)) is not None]
        fitting = [
            (found, export)
            for found, export in there
            if (found.bundle, found.interfaces) == (wanted.bundle, wanted.interfaces)
        ]
        same = [export for found, export in fitting if found.part == wanted.part]
        if not same and len(fitting) == 1:
            same = [fitting[0][1]]
        return same[-1] if same else None
