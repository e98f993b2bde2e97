"""Carries a plan out: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from inaetics.bundles.archive import Archive
from inaetics.errors import InvalidInput
from inaetics.node.loader import BundleLoader, Installed
from inaetics.node.plan import Plan, identity, plan

log = structlog.get_logger()


class Installer:
    """Switches what runs. Use it from one thread at a time."""

    def __init__(self, loader: BundleLoader) -> None:
        self._loader = loader

    @property
    def running(self) -> tuple[Archive, ...]:
        """In the order they were started."""
        return tuple(installed.archive for installed in self._loader.installed)

    def switch(self, wanted: Sequence[Archive]) -> Plan:
        """Run exactly `wanted`; returns what was done. Nothing to do is fine.

        Raises `InvalidInput` when the requirements cannot be met or a bundle does not start. Then what ran before runs
        on, untouched.
        """
        steps = plan(self.running, wanted)
        self._start_all(steps.start)
        leaving = {identity(archive) for archive in steps.stop}
        self._remove([each for each in reversed(self._loader.installed) if identity(each.archive) in leaving])
        return steps

    def stop_all(self) -> None:
        """Stop and remove every bundle, the last started first."""
        self._remove(self._loader.installed[::-1])

    def _start_all(self, archives: Sequence[Archive]) -> None:
        """All are imported before the first one starts: what cannot be imported costs nothing."""
        new: list[Installed] = []
        try:
            for archive in archives:
                new.append(self._loader.install(archive))
            for installed in new:
                self._loader.start(installed)
                log.info("bundle started", bundle=installed.manifest.key)
        except InvalidInput:
            self._remove(new[::-1])
            raise

    def _remove(self, leaving: Sequence[Installed]) -> None:
        for installed in leaving:
            try:
                self._loader.uninstall(installed)
                log.info("bundle stopped", bundle=installed.manifest.key)
            except InvalidInput as error:  # it is gone all the same
                log.error("bundle failed to stop", bundle=installed.manifest.key, error=str(error))  # noqa: TRY400
