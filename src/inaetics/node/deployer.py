"""Keeps an agent at what provisioning says: asks, downloads what is new, switches as one step, and goes on.

Whatever goes wrong, what runs goes on running: no server, a download cut short, an archive that is not what it should
be, a bundle that does not start. A deployment that was refused is not tried again until there is another one; the
server is told why. The last good deployment and its archives are on disk, so an agent that starts while nobody answers
still runs.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from inaetics.bundles.archive import Archive, open_archive
from inaetics.bundles.exchange import DeployedBundle, Deployment
from inaetics.errors import InvalidInput, Unavailable
from inaetics.node.installer import Installer
from inaetics.node.provisioning_client import ProvisioningClient, archive_path
from inaetics.node.servers import Servers
from inaetics.store.protocol import Store

log = structlog.get_logger()

HOLD_S = 30.0
"""How long a server may hold a question."""
RETRY_S = 1.0
FIRST_ANSWER_S = 3.0
"""An agent that starts waits so long for provisioning before it runs what it ran last."""


class Deployer:
    """Works on a thread of its own from `start` to `stop`. `directory` is its own, and outlives it.

    `where` is for people: the agent's host. `failed` is told of what should not happen at all: an agent that does not
    follow any more must end.
    """

    def __init__(
        self, target: str, installer: Installer, directory: Path, *, where: str, failed: Callable[[str], None]
    ) -> None:
        self._target = target
        self._where = where
        self._installer = installer
        self._directory = directory
        self._failed = failed
        self._servers = Servers(on_change=self._servers_changed)
        self._thread = threading.Thread(target=self._run, name="deployer", daemon=True)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._asking: ProvisioningClient | None = None
        self._current = Deployment(version="")
        self._seen = ""
        self._refusal = ""
        self._trouble = ""

    async def follow_servers(self, store: Store) -> None:
        """The job for etcd's thread."""
        await self._servers.follow(store)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Ask no more, finish the switch that is under way. Bundles go on running. Idempotent."""
        self._stopping.set()
        self._wake.set()
        self._cancel(unless=())
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as error:
            log.exception("deployer failed")
            self._failed(f"deployer failed: {error}")

    def _follow(self) -> None:
        give_up_at = time.monotonic() + FIRST_ANSWER_S
        while not self._stopping.is_set():
            if self._ask_anyone():
                continue
            if not self._seen and time.monotonic() >= give_up_at:
                self._restore()
                give_up_at = math.inf
            self._wake.wait(RETRY_S)
            self._wake.clear()

    def _ask_anyone(self) -> bool:
        """Ask the servers in turn until one answers; whether one did."""
        for url in self._servers.urls:
            if self._stopping.is_set():
                return False
            client = ProvisioningClient(url, where=self._where)
            with self._lock:
                self._asking = client
            try:
                found = self._ask(client)
                if found is not None:
                    self._deploy(client, found)
            except Unavailable as error:
                self._unanswered(str(error))
                continue
            finally:
                with self._lock:
                    self._asking = None
            self._trouble = ""
            return True
        return False

    def _ask(self, client: ProvisioningClient) -> Deployment | None:
        error = self._trouble or self._refusal
        return client.deployment(
            self._target, after=self._seen, running=self._current.version, error=error, wait_s=HOLD_S
        )

    def _deploy(self, client: ProvisioningClient, deployment: Deployment) -> None:
        """Fetch and switch. Raises `Unavailable` when a download fails: the same deployment is asked for again."""
        began = time.monotonic()
        archives = [self._fetch(client, bundle) for bundle in deployment.bundles]
        try:
            steps = self._installer.switch(archives)
        except InvalidInput as error:
            log.error("deployment refused", version=deployment.version, error=str(error))  # noqa: TRY400 - for people
            self._seen, self._refusal = deployment.version, str(error)
            return
        self._current, self._seen, self._refusal = deployment, deployment.version, ""
        self._remember(deployment)
        log.info(
            "deployed",
            version=deployment.version,
            started=[archive.manifest.key for archive in steps.start],
            stopped=[archive.manifest.key for archive in steps.stop],
            seconds=round(time.monotonic() - began, 3),
        )

    def _fetch(self, client: ProvisioningClient, bundle: DeployedBundle) -> Archive:
        """A download that is not what it should be may be right the next time."""
        try:
            return client.fetch(bundle, self._archives)
        except InvalidInput as error:
            raise Unavailable(str(error)) from error

    def _restore(self) -> None:
        """Run what ran last, from disk. What is missing or broken there is left to provisioning."""
        try:
            deployment = msgspec.json.decode(self._record.read_bytes(), type=Deployment)
            archives = [self._kept(deployment, i) for i in range(len(deployment.bundles))]
            self._installer.switch(archives)
        except (OSError, msgspec.DecodeError, InvalidInput) as error:
            log.info("nothing to run until provisioning answers", reason=str(error))
            return
        self._current, self._seen = deployment, deployment.version
        log.info("provisioning is away, running what ran last", version=deployment.version)

    def _kept(self, deployment: Deployment, index: int) -> Archive:
        bundle = deployment.bundles[index]
        return open_archive(archive_path(bundle, self._archives), sha256=bundle.sha256)

    def _remember(self, deployment: Deployment) -> None:
        """Write down what runs, and drop archives that are in it no more. A full disk only costs the memory."""
        keep = {archive_path(bundle, self._archives) for bundle in deployment.bundles}
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            partial = self._record.with_suffix(".partial")
            partial.write_bytes(msgspec.json.encode(deployment))
            partial.replace(self._record)
            for path in self._archives.glob("*"):
                if path not in keep:
                    path.unlink()
        except OSError as error:
            log.warning("cannot remember the deployment", directory=str(self._directory), error=str(error))

    def _unanswered(self, reason: str) -> None:
        """Say it once an outage, not once a try; whoever answers next is told, too."""
        if not self._trouble and not self._stopping.is_set():
            log.warning("cannot follow provisioning, going on with what runs", reason=reason)
        self._trouble = reason

    def _servers_changed(self) -> None:
        self._cancel(unless=self._servers.urls)
        self._wake.set()

    def _cancel(self, *, unless: tuple[str, ...]) -> None:
        """Give up the question to a server that is not among `unless`: it may hold it although it is gone."""
        with self._lock:
            asking = self._asking
        if asking is not None and asking.url not in unless:
            asking.cancel()

    @property
    def _archives(self) -> Path:
        return self._directory / "bundles"

    @property
    def _record(self) -> Path:
        return self._directory / "deployment.json"
