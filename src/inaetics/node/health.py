"""How an agent is, as a value: what runs, what was refused, what hangs, what was left behind.

An agent is unhealthy until it runs a deployment, while the one it was last given was refused (the one before runs on),
while code of a bundle hangs in a thread that was given up, and while others cannot find what it exports. Threads that
bundles left behind are counted, and named, but harm nobody.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from pelix.framework import BundleContext
from pelix.rsa import SERVICE_REMOTE_SERVICE_ADMIN

from inaetics.node.deployer import Standing
from inaetics.node.installer import Installer


class Hanging(msgspec.Struct, frozen=True, kw_only=True):
    """A thread that was given up: which bundle's, what it was to do, where it is, for how long."""

    bundle: str
    doing: str
    place: str
    seconds: float


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``GET /health``."""

    healthy: bool
    reasons: tuple[str, ...]
    """Why it is not; empty when it is."""
    agent: str
    deployment: str
    refused: str
    """The version that was refused, if the last one was."""
    refusal: str
    trouble: str
    """Why provisioning cannot be asked, while it cannot."""
    bundles: tuple[str, ...]
    """``name-version``, in the order they were started."""
    hanging: tuple[Hanging, ...]
    leaked: dict[str, list[str]]
    """Names of living threads that stopped bundles left behind, by bundle."""
    exports: int
    unannounced: int
    """Exports that others cannot find: etcd has not had them for a while (`discovery.LATE_S`)."""
    imports: int
    calls: int
    """Of other agents, carried out here since it started; so `calls_raised`."""
    calls_raised: int
    reports_waiting: int
    """What came of deployments and was not told to a server yet."""
    installed: int
    """Deployments since the agent started; so `failed`."""
    failed: int
    threads: int
    memory_bytes: int
    cpu_seconds: float
    uptime_seconds: float


class Doctor:
    """Looks at one agent. Costs a fraction of a millisecond; safe from any thread."""

    def __init__(
        self,
        agent: str,
        context: BundleContext,
        installer: Installer,
        standing: Callable[[], Standing],
        calls: Callable[[], tuple[int, int]] = lambda: (0, 0),
        unannounced: Callable[[], int] = lambda: 0,
    ) -> None:
        self._agent = agent
        self._context = context
        self._installer = installer
        self._standing = standing
        self._calls = calls
        self._unannounced = unannounced
        self._began = time.monotonic()

    def look(self) -> Health:
        standing = self._standing()
        now = time.monotonic()
        hanging = tuple(
            Hanging(bundle=lost.bundle, doing=lost.doing, place=lost.place, seconds=round(now - lost.since, 1))
            for lost in self._installer.hanging
        )
        reasons = [] if standing.version else ["no deployment runs yet"]
        reasons += [f"deployment {standing.refused} was refused: {standing.refusal}"] if standing.refusal else []
        reasons += [f"bundle {each.bundle} hangs in its {each.doing} at {each.place}" for each in hanging]
        unannounced = self._unannounced()
        reasons += [f"others cannot find {unannounced} of its exports: etcd does not have them"] if unannounced else []
        exports, imports = self._remote()
        calls, raised = self._calls()
        return Health(
            healthy=not reasons,
            reasons=tuple(reasons),
            agent=self._agent,
            deployment=standing.version,
            refused=standing.refused,
            refusal=standing.refusal,
            trouble=standing.trouble,
            bundles=tuple(archive.manifest.key for archive in self._installer.running),
            hanging=hanging,
            leaked=self._installer.leaked,
            exports=exports,
            unannounced=unannounced,
            imports=imports,
            calls=calls,
            calls_raised=raised,
            reports_waiting=standing.reports_waiting,
            installed=standing.installed,
            failed=standing.failed,
            threads=threading.active_count(),
            memory_bytes=memory_bytes(),
            cpu_seconds=round(time.process_time(), 2),
            uptime_seconds=round(now - self._began, 1),
        )

    def _remote(self) -> tuple[int, int]:
        """How many services are exported and imported."""
        reference: Any = self._context.get_service_reference(SERVICE_REMOTE_SERVICE_ADMIN)
        if reference is None:
            return 0, 0
        admin = self._context.get_service(reference)
        try:
            return len(admin.get_exported_services() or ()), len(admin.get_imported_endpoints() or ())
        finally:
            self._context.unget_service(reference)


def memory_bytes() -> int:
    """What this process has in memory now; where the kernel does not say, the most it ever had."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
