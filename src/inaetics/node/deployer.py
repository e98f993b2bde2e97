"""Keeps an agent at what provisioning says: asks, downloads what is new, switches as one step, says what came of it.

Whatever goes wrong, what runs goes on running: no server, a download cut short, an archive that is not what it should
be or signed by nobody we know, a server that gives what is not in force (`inaetics.node.in_force`), a requirement
nobody meets, a bundle that does not start. A deployment that was refused is not tried again until there is another
one; the server is told why. The last good deployment and its archives are on disk (`inaetics.node.memory`), so an agent
that starts while nobody answers, or while the deployment it is given does not work, still runs.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import structlog

from inaetics.bundles.archive import Archive
from inaetics.bundles.exchange import DeployedBundle, Deployment, Report
from inaetics.bundles.signature import verify
from inaetics.errors import InaeticsError, InvalidInput, Unavailable
from inaetics.node.in_force import PATIENCE_S, FalseAnswer, InForce
from inaetics.node.installer import Installer, NotInstalled
from inaetics.node.memory import Memory
from inaetics.node.plan import Plan
from inaetics.node.provisioning_client import ProvisioningClient
from inaetics.node.reports import Reports
from inaetics.node.servers import Servers
from inaetics.store.protocol import Store

log = structlog.get_logger()

HOLD_S = 30.0
"""How long a server may hold a question while there is nothing new, by what etcd says."""
RETRY_S = 1.0
MOST_RETRY_S = 10.0
"""Between tries of one that fails again and again, and while there is nothing new, by what etcd says."""
MOST_WITHIN_S = 600.0
BREATH_S = 0.05
"""Between two questions that are answered at once: a server that always has something new is one that lies."""
FIRST_ANSWER_S = 3.0
"""An agent that starts waits so long for provisioning before it runs what it ran last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How to know a provisioning server and what it gives.

    `tls` is for servers that ask for a certificate; `anchors` a file of who may sign bundles. Without it everything is
    taken unsigned. `in_force` says what may be given; without it everything is taken that is given (tests).
    """

    tls: ssl.SSLContext | None = None
    anchors: Path | None = None
    in_force: InForce | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How deploying goes: what runs, what was refused last and why, what hinders us from asking."""

    version: str = ""
    refused: str = ""
    refusal: str = ""
    trouble: str = ""
    installed: int = 0
    failed: int = 0
    reports_waiting: int = 0


class Deployer:
    """Works on a thread of its own from `start` to `stop`. `directory` is its own, and outlives it.

    `where` is for people: the agent's host; `address` is that host's. `failed` is told of what should not happen at
    all: an agent that does not follow any more must end.
    """

    def __init__(
        self,
        target: str,
        installer: Installer,
        directory: Path,
        *,
        where: str,
        failed: Callable[[str], None],
        trust: Trust = Trust(),
        address: str = "",
        random: Random | None = None,
    ) -> None:
        self._target = target
        self._where = where
        self._installer = installer
        self._memory = Memory(directory)
        self._trust = trust
        self._failed = failed
        self._servers = Servers(
            on_change=self._servers_changed, certificates=trust.tls is not None, own=address, random=random
        )
        self._thread = threading.Thread(target=self._run, name="deployer", daemon=True)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._asking: ProvisioningClient | None = None
        self._held: ProvisioningClient | None = None
        """Who was asked for news and has not answered."""
        self._client: ProvisioningClient | None = None
        self._current = Deployment(version="")
        self._installing = ""
        self._given = self._current
        """What was given last, whether it was taken or refused."""
        self._refusal = ""
        self._unfit = ""
        self._trouble = ""
        self._tries = 0
        self._stay = ""
        """Who gave the last deployment: what comes with it is asked over the same connection."""
        self._reports = Reports(target)
        if trust.in_force is not None:
            trust.in_force.overdue = self._overdue
        if trust.anchors is None:
            log.warning("nobody says whose signatures count: bundles are taken unsigned")

    @property
    def _seen(self) -> str:
        return self._given.version

    @property
    def standing(self) -> Standing:
        return Standing(
            version=self._current.version,
            refused=self._seen if self._refusal else "",
            refusal=self._refusal,
            trouble=self._trouble,
            installed=self._reports.installed,
            failed=self._reports.failed,
            reports_waiting=self._reports.waiting,
        )

    def stuck(self, reason: str) -> None:
        """The framework does not answer any more: end the process, and do not install what did it once more."""
        if self._installing:
            self._memory.never_again(self._installing)
        self._failed(reason)

    async def follow_servers(self, store: Store) -> None:
        """The job for etcd's thread."""
        await self._servers.follow(store)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Ask no more, finish the switch that is under way. Bundles go on running. Idempotent."""
        self._stopping.set()
        self._wake.set()
        if self._trust.in_force is not None:
            self._trust.in_force.close()
        self._cancel(unless=())
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            log.exception("deployer failed")
            self._failed(f"deployer failed: {error}")
        finally:
            if self._client is not None:
                self._client.close()

    def _follow(self) -> None:
        give_up_at = time.monotonic() + FIRST_ANSWER_S
        while not self._stopping.is_set():
            began = time.monotonic()
            if self._ask_anyone():
                self._stopping.wait(max(began + BREATH_S - time.monotonic(), 0))
                continue
            if not self._seen and time.monotonic() >= give_up_at:
                self._restore("provisioning is away, running what ran last")
                give_up_at = math.inf
            due = self._news() and not self._unfit
            self._pause(RETRY_S if due else min(RETRY_S * max(self._tries, 1), MOST_RETRY_S))

    def _ask_anyone(self) -> bool:
        """Ask the servers in turn until one answers; whether one did.

        Who says that there is nothing new although etcd does has answered, and the next one is asked all the same.
        """
        answered = False
        for url in self._servers.in_turn(first=self._stay):
            if self._stopping.is_set():
                return False
            try:
                with self._at(url) as client:
                    self._reports.send(client)
                    found = self._question(client)
                    if found is not None:
                        self._deploy(client, found)
            except Unavailable as error:
                self._unanswered(str(error))
                continue
            if found is None and (wanted := self._news()):
                self._unanswered(
                    f"the provisioning server at {url} gives nothing of version {wanted}, which is in force"
                )
                answered = True
                continue
            self._trouble, self._tries, self._unfit = "", 0, ""
            self._stay = url if found is not None else ""
            return True
        return answered and bool(self._seen)

    def _question(self, client: ProvisioningClient) -> Deployment | None:
        """Ask for news, in a way that `_overdue` may break off."""
        try:
            self._held = client
            return self._ask(client, after=self._seen, wait_s=PATIENCE_S if self._news() else HOLD_S)
        finally:
            self._held = None

    def _news(self) -> int:
        """The version in force, where etcd says that we should be given something by it; 0 where not."""
        in_force = self._trust.in_force
        return in_force.news(self._target, seen=self._given, running=self._current) if in_force is not None else 0

    def _overdue(self) -> None:
        """A server that still holds a question which it should have answered is given up for another."""
        held = self._held
        if held is not None and self._news():
            held.cancel()

    def _pause(self, seconds: float) -> None:
        """Wait before the next try, but not longer than until there is another deployment or another server."""
        if self._unfit and (urls := self._servers.in_turn()):
            began = time.monotonic()
            with suppress(Unavailable), self._at(urls[0]) as client:
                self._reports.send(client)
                self._ask(client, after=self._unfit, wait_s=seconds)
                seconds = began + min(0.1 * self._tries, seconds) - time.monotonic()
        self._wake.wait(max(seconds, 0))
        self._wake.clear()

    @contextmanager
    def _at(self, url: str) -> Iterator[ProvisioningClient]:
        """A client whose question can be given up from other threads; the one before, where it was of this server."""
        client = self._client
        if client is None or client.url != url or client.cancelled:
            if client is not None:
                client.close()
            client = self._client = ProvisioningClient(url, where=self._where, tls=self._trust.tls)
        with self._lock:
            self._asking = client
        try:
            yield client
        finally:
            with self._lock:
                self._asking = None

    def _ask(self, client: ProvisioningClient, *, after: str, wait_s: float) -> Deployment | None:
        error = self._trouble or self._refusal
        return client.deployment(self._target, after=after, running=self._current.version, error=error, wait_s=wait_s)

    def _deploy(self, client: ProvisioningClient, deployment: Deployment) -> None:
        """Fetch and switch. Raises `Unavailable` when a download fails: the same deployment is asked for again."""
        began = time.monotonic()
        self._check(client, deployment)
        if not self._current.version and self._memory.tried(deployment.version):
            self._restore("the agent ended in this install before, running what ran last first")
        archives = self._fetch_all(client, deployment)
        try:
            steps = self._switch(deployment, archives)
        except InvalidInput as error:
            self._refuse(deployment, error, began)
        else:
            self._accept(deployment, steps, began)
        self._reports.send(client)

    def _check(self, client: ProvisioningClient, deployment: Deployment) -> None:
        """Before anything is fetched: only what the version in force gives. Raises `Unavailable` for all else."""
        if self._trust.in_force is None:
            return
        try:
            self._trust.in_force.check(deployment, self._target, server=client.url)
        except FalseAnswer as error:
            if self._reports.add_once(client.url, Report(version="", state="failed", error=str(error)[:2000])):
                log.error("deployment is not what is in force", server=client.url, error=str(error))  # noqa: TRY400
            raise
        except Unavailable:
            self._unfit = deployment.version
            raise

    def _fetch_all(self, client: ProvisioningClient, deployment: Deployment) -> list[Archive]:
        """Everything, checked, before anything is touched. What is not what it should be may be right the next time."""
        try:
            return [self._fetch(client, bundle) for bundle in deployment.bundles]
        except InvalidInput as error:
            self._unfit = deployment.version
            report = Report(version=deployment.version, state="failed", error=str(error)[:2000])
            self._reports.add_once(deployment.version, report)
            raise Unavailable(str(error)) from error

    def _fetch(self, client: ProvisioningClient, bundle: DeployedBundle) -> Archive:
        """What runs here is not checked again: its signer may have ended since."""
        running = next((archive for archive in self._installer.running if archive.sha256 == bundle.sha256), None)
        if running is None and self._trust.anchors is not None:
            try:
                verify(bundle.sha256, bundle.signature, anchors=self._trust.anchors)
            except InvalidInput as error:
                raise InvalidInput(f"bundle {bundle.name}-{bundle.version} is not taken: {error}") from error
        try:
            return self._memory.kept(bundle)
        except InvalidInput:  # not there, or cut by a power failure
            return self._memory.keep(bundle, client.fetch(bundle))

    def _switch(self, deployment: Deployment, archives: Sequence[Archive]) -> Plan:
        self._memory.begin(deployment.version)
        self._installing = deployment.version
        try:
            return self._installer.switch(archives, within_s=min(max(deployment.within_s, 0.1), MOST_WITHIN_S))
        finally:
            self._installing = ""
            if not self._stopping.is_set():
                self._memory.end()

    def _accept(self, deployment: Deployment, steps: Plan, began: float) -> None:
        self._current, self._given, self._refusal = deployment, deployment, ""
        self._memory.remember(deployment)
        report = Report(
            version=deployment.version,
            state="installed",
            error=_left(self._installer),
            started=tuple(archive.manifest.key for archive in steps.start),
            stopped=tuple(archive.manifest.key for archive in steps.stop),
            seconds=round(time.monotonic() - began, 3),
        )
        self._reports.add(report)
        log.info(
            "deployed",
            version=report.version,
            started=report.started,
            stopped=report.stopped,
            seconds=report.seconds,
        )

    def _refuse(self, deployment: Deployment, error: InvalidInput, began: float) -> None:
        if self._stopping.is_set():
            return  # it was broken off
        self._given, self._refusal = deployment, str(error)
        back = error.rolled_back if isinstance(error, NotInstalled) else ()
        self._reports.add(
            Report(
                version=deployment.version,
                state="rolled-back" if back else "failed",
                error=str(error)[:2000],
                started=back,
                stopped=back,
                seconds=round(time.monotonic() - began, 3),
            )
        )
        log.error("deployment refused", version=deployment.version, error=str(error))  # it counts already
        if not self._current.version:
            self._restore("running what ran last instead")

    def _restore(self, words: str) -> None:
        """Run what ran last, from disk. What is missing or broken there is left to provisioning."""
        deployment = self._memory.last()
        if deployment is None:
            log.info("nothing to run until provisioning answers")
            return
        try:
            self._installer.switch([self._memory.kept(bundle) for bundle in deployment.bundles])
        except InaeticsError as error:
            log.warning("cannot run what ran last", version=deployment.version, reason=str(error))
            return
        self._current = deployment
        if not self._refusal:
            self._given = deployment
        log.info(words, version=deployment.version)

    def _unanswered(self, reason: str) -> None:
        """Say it once an outage, not once a try; whoever answers next is told, too."""
        if not self._trouble and not self._stopping.is_set():
            log.warning("cannot follow provisioning, going on with what runs", reason=reason)
        self._trouble = reason
        self._tries += 1

    def _servers_changed(self) -> None:
        self._cancel(unless=self._servers.urls)
        self._wake.set()

    def _cancel(self, *, unless: tuple[str, ...]) -> None:
        """Give up the question to a server that is not among `unless`: it may hold it although it is gone."""
        with self._lock:
            asking = self._asking
        if asking is not None and asking.url not in unless:
            asking.cancel()


def _left(installer: Installer) -> str:
    """What a switch that succeeded left behind, for its report."""
    hanging = [f"{lost.bundle} hangs in its {lost.doing} at {lost.place}" for lost in installer.hanging]
    return "; ".join(hanging)[:2000]
