"""Carries a plan out: all of it, or nothing; and hands services over without a gap.

What is new starts beside what is old. Then each old bundle gives its services up (their users go to the new ones, which
are there), calls that are inside it come to their end, and it is stopped. Everything that runs a bundle's code does so
for a limited time (`inaetics.node.bounded`): a bundle that hangs is given up, named, and removed by force; the rest
goes on. Only when even that does not come back is the framework itself stuck, and `stuck` told of it.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence

import structlog
from pelix.framework import Bundle

from inaetics.bundles.archive import Archive
from inaetics.bundles.exchange import WITHIN_S
from inaetics.errors import InvalidInput, Unavailable
from inaetics.node.bounded import Bounded, Lost, Overdue
from inaetics.node.loader import BundleLoader, Installed, package_name
from inaetics.node.plan import Plan, identity, plan
from inaetics.node.whose import belongings, owner, stacks, visitors

log = structlog.get_logger()

STOP_S = 5.0
"""What a bundle's stop may take."""
DRAIN_S = 5.0
"""How long calls in flight are waited for. The new version serves meanwhile; whoever waits longer is interrupted."""
LEAK_S = 0.5
FORCE_S = 5.0
"""What removing by force may take: it runs no code of the bundle."""
STOP_ALL_S = 3.0
"""For all bundles together, at the end of the process."""


class NotInstalled(InvalidInput):
    """A switch that failed; what ran before runs on. `rolled_back` names bundles that had begun to start."""

    def __init__(self, message: str, *, rolled_back: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rolled_back = rolled_back


class Installer:
    """Switches what runs. `switch` is for one thread at a time; the rest may be called from any.

    `busy` names whoever is inside the code of a package: calls in flight.
    """

    def __init__(
        self,
        loader: BundleLoader,
        *,
        busy: Callable[[str], list[str]] = visitors,
        stuck: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._loader = loader
        self._busy = busy
        self._stuck = stuck
        self._bounded = Bounded(lambda: loader.packages)
        self._switching = threading.Lock()
        self._closing = threading.Event()
        self._gone: dict[str, str] = {}
        self._born: weakref.WeakKeyDictionary[threading.Thread, str] = weakref.WeakKeyDictionary()

    @property
    def running(self) -> tuple[Archive, ...]:
        """In the order they were started."""
        return tuple(installed.archive for installed in self._loader.installed)

    @property
    def hanging(self) -> tuple[Lost, ...]:
        """Threads that were given up and still live."""
        return self._bounded.lost

    @property
    def leaked(self) -> dict[str, list[str]]:
        """Names of living threads that bundles left behind, by bundle; hanging ones are not among them."""
        given_up = {lost.thread for lost in self.hanging}
        found: dict[str, list[str]] = {}
        for package, threads in belongings(self._gone.__contains__).items():
            found.setdefault(self._gone[package], []).extend(t.name for t in threads if t not in given_up)
        for thread, package in list(self._born.items()):
            if thread.is_alive() and package in self._gone:
                found.setdefault(self._gone[package], []).append(thread.name)
        return {bundle: sorted(names) for bundle, names in sorted(found.items()) if names}

    def switch(self, wanted: Sequence[Archive], *, within_s: float = WITHIN_S) -> Plan:
        """Run exactly `wanted`; returns what was done. Nothing to do is fine.

        Each new bundle has `within_s` to be imported and as long to start. Raises `InvalidInput` when the requirements
        cannot be met, `NotInstalled` when a bundle does not start. Then what ran before runs on, untouched.
        """
        with self._switching:
            steps = plan(self.running, wanted)
            self._start_all(steps.start, within_s)
            leaving = {identity(archive) for archive in steps.stop}
            for installed in reversed(self._loader.installed):
                if identity(installed.archive) in leaving:
                    self._hand_over(installed)
            self._name_leaks({archive.manifest.key for archive in steps.stop})
            return steps

    def stop_all(self) -> None:
        """Stop and remove every bundle, the last started first. A switch that is under way is broken off."""
        self._closing.set()
        self._bounded.hurry()
        if not self._switching.acquire(timeout=STOP_ALL_S / 2):
            log.error("a switch does not end, leaving the bundles as they are")
            return
        try:
            until = time.monotonic() + STOP_ALL_S
            for installed in reversed(self._loader.installed):
                self._stop(installed, max(until - time.monotonic(), 0.1))
        finally:
            self._switching.release()

    def _start_all(self, archives: Sequence[Archive], within_s: float) -> None:
        """All are imported before the first one starts: what cannot be imported costs nothing."""
        new: list[Installed] = []
        started: list[str] = []
        try:
            for archive in archives:
                new.append(self._import(archive, within_s))
            for installed in new:
                started.append(installed.manifest.key)
                self._start(installed, within_s)
                log.info("bundle started", bundle=installed.manifest.key)
        except InvalidInput as error:
            for installed in reversed(new):
                self._take_back(installed)
            raise NotInstalled(str(error), rolled_back=tuple(started)) from error

    def _import(self, archive: Archive, within_s: float) -> Installed:
        key, before = archive.manifest.key, set(threading.enumerate())
        self._go_on()
        try:
            return self._bounded.run(key, "import", lambda: self._loader.install(archive), within_s)
        except Overdue as error:
            self._loader.forget(archive)
            self._gone[package_name(archive)] = key
            raise InvalidInput(f"cannot import bundle {key}: {error}") from error
        finally:
            self._adopt(package_name(archive), before)

    def _start(self, installed: Installed, within_s: float) -> None:
        key, before = installed.manifest.key, set(threading.enumerate())
        self._go_on()
        try:
            self._bounded.run(key, "start", lambda: self._loader.start(installed), within_s)
        except Overdue as error:
            raise InvalidInput(f"cannot start bundle {key}: {error}") from error
        finally:
            self._adopt(installed.package, before)

    def _go_on(self) -> None:
        if self._closing.is_set():
            raise InvalidInput("the agent is stopping")

    def _adopt(self, package: str, before: set[threading.Thread]) -> None:
        """Remember threads that a bundle began and whose stack does not tell: they run nothing but library code."""
        frames = stacks()
        for thread in set(threading.enumerate()) - before:
            if owner(thread, frames.get(thread.ident or 0, [])) in ("", "threading"):
                self._born[thread] = package

    def _take_back(self, installed: Installed) -> None:
        if installed.bundle.get_state() == Bundle.STARTING:  # hangs in its activator
            self._force(installed)
        else:
            self._stop(installed, STOP_S)

    def _hand_over(self, installed: Installed) -> None:
        """New calls go to the successor, if there is one; those inside come to their end; then it is stopped."""
        key = installed.manifest.key
        try:
            self._bounded.run(key, "give its services up", lambda: self._loader.withdraw(installed), STOP_S)
        except Overdue as error:
            log.error("bundle hinders its successor", bundle=key, error=str(error))  # noqa: TRY400 - made for people
        self._drain(installed)
        self._stop(installed, STOP_S)

    def _name_leaks(self, stopped: set[str]) -> None:
        """Say which threads the bundles that were stopped just now left behind; those about to end get a moment."""
        until = time.monotonic() + LEAK_S
        while (left := {key: names for key, names in self.leaked.items() if key in stopped}) and (
            time.monotonic() < until
        ):
            time.sleep(0.01)
        for bundle, names in left.items():
            log.warning("bundle left threads behind", bundle=bundle, threads=names)

    def _drain(self, installed: Installed) -> None:
        until = time.monotonic() + DRAIN_S
        while inside := self._busy(installed.package):
            if time.monotonic() >= until:
                log.warning("calls in flight are interrupted", bundle=installed.manifest.key, callers=inside)
                return
            if self._closing.wait(0.005):
                return

    def _stop(self, installed: Installed, within_s: float) -> None:
        key = installed.manifest.key
        try:
            self._bounded.run(key, "stop", lambda: self._loader.uninstall(installed), within_s)
            log.info("bundle stopped", bundle=key)
        except Overdue:
            self._force(installed)
        except InvalidInput as error:  # it is gone all the same
            log.error("bundle failed to stop", bundle=key, error=str(error))  # noqa: TRY400
        except Exception:  # of Pelix, or a bundle's that Pelix let through
            log.exception("bundle failed to stop in an unknown way", bundle=key)
            self._force(installed)
        self._gone[installed.package] = key

    def _force(self, installed: Installed) -> None:
        key = installed.manifest.key
        self._gone[installed.package] = key
        try:
            self._bounded.run(key, "be removed", lambda: self._loader.force(installed), FORCE_S)
            log.warning("bundle removed by force", bundle=key)
        except Unavailable as error:
            self._stuck(f"bundle {key} cannot even be removed: {error}")
