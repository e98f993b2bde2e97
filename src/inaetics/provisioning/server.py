"""The provisioning server: its framework, its desk, and what it does with etcd. It keeps no state of its own."""

from __future__ import annotations

import uuid
from functools import partial
from pathlib import Path

import msgspec
import structlog
from pelix.framework import Framework
from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH

from inaetics.bundles.exchange import SERVERS, Registration
from inaetics.bundles.given import read_version
from inaetics.bundles.records import ARTIFACTS, CURRENT, PREFIX, REPLACED, Artifact
from inaetics.bundles.repository import Repository
from inaetics.containers.artifacts import ArtifactRegistry
from inaetics.errors import InvalidInput
from inaetics.provisioning.agents_port import AgentsPort
from inaetics.provisioning.answers import Answers
from inaetics.provisioning.audit import Audit
from inaetics.provisioning.cache import ArchiveCache
from inaetics.provisioning.desk import Desk
from inaetics.provisioning.etcd_thread import EtcdThread
from inaetics.provisioning.framework import FrameworkSettings, StopRequest, start_framework, stop_framework
from inaetics.provisioning.kept_keys import KeptKeys
from inaetics.provisioning.servlet import Servlet
from inaetics.provisioning.settings import Settings
from inaetics.provisioning.stager import Stager
from inaetics.store.etcd import connect
from inaetics.store.protocol import Changed, KeyValue, Relisted, Store, Synced
from inaetics.tls import RenewingContext, client_context

log = structlog.get_logger()

LEASE_TTL_S = 5.0


class Server:
    """A provisioning server; see `inaetics.provisioning.framework.Service`."""

    def __init__(self, settings: Settings, request: StopRequest) -> None:
        self._settings = settings
        self._framework: Framework | None = None
        failed = partial(request.ask, status=1)
        open_store = partial(connect, settings.etcd_endpoints, tls=settings.etcd_tls)
        self._etcd = EtcdThread(open_store, failed=failed)
        self._audit = Audit(self._etcd, uuid.uuid4().hex[:8], changed=lambda: self._desk.touch())
        self._desk = Desk(record=self._audit.add)
        cache = ArchiveCache(settings.data / "archives")
        self._stager = Stager(self._desk, cache, _registries(settings), anchors=settings.anchors, failed=failed)
        answers = Answers(self._desk, self._stager)
        self._port = AgentsPort(
            answers, settings.address, settings.agents_port, tls=_certificates(settings.tls_directory)
        )
        self._etcd.add("versions and artifacts", self._follow)
        self._registration = KeptKeys(self._etcd, f"{SERVERS}{uuid.uuid4().hex}", ttl_s=LEASE_TTL_S)
        self._etcd.add("registration", self._register)
        if settings.anchors is None:
            log.warning("nobody says whose signatures count: bundles are taken unsigned")

    def start(self) -> None:
        framework = start_framework(
            FrameworkSettings(
                address=self._settings.address,
                page_port=self._settings.page_port,
                shell_port=self._settings.shell_port,
                debug_port=self._settings.debug_port,
            )
        )
        self._framework = framework
        servlet = Servlet(self._desk, self._audit)
        framework.get_bundle_context().register_service(HTTP_SERVLET, servlet, {HTTP_SERVLET_PATH: "/"})
        self._port.start()
        self._stager.start()
        self._etcd.start()

    def stop(self) -> None:
        """Withdraw from etcd first, so that agents ask elsewhere; then answer those that wait."""
        self._etcd.stop()
        self._desk.close()
        self._stager.stop()
        self._port.stop()
        if self._framework is not None:
            stop_framework(self._framework)

    async def _follow(self, store: Store) -> None:
        """Tell the desk what is in force, once for all that changed together."""
        records: dict[str, KeyValue] = {}
        async for event in store.watch(PREFIX):
            match event:
                case Relisted(listing=listing):
                    records = {item.key: item for item in listing.items if _concerns(item.key)}
                    self._use(records)
                case Changed(key=key, current=current):
                    records.pop(key, None)
                    if current is not None and _concerns(key):
                        records[key] = current
                case Synced():
                    self._use(records)

    def _use(self, records: dict[str, KeyValue]) -> None:
        current = records.get(CURRENT)
        try:
            version = read_version(current.value) if current else None
        except InvalidInput as error:
            log.error("version not understood, the one before stays", error=str(error))  # noqa: TRY400 - for people
            version = self._desk.state.version
        self._desk.use(version, _repository(records))
        self._stager.wake()

    async def _register(self, store: Store) -> None:
        """Stand in etcd for as long as the server lives. Who asks before the mapping was read is told to come again."""
        url = f"http://{self._settings.address}:{self._settings.page_port}"
        registration = Registration(url=url, agents_url=self._port.url)
        self._registration.want({self._registration.prefix: msgspec.json.encode(registration)})
        await self._registration.keep(store)


def _concerns(key: str) -> bool:
    return key == CURRENT or key.startswith((ARTIFACTS, REPLACED))


def _repository(records: dict[str, KeyValue]) -> Repository:
    return Repository.of(_artifacts(records, ARTIFACTS), _artifacts(records, REPLACED))


def _artifacts(records: dict[str, KeyValue], prefix: str) -> list[Artifact]:
    found = []
    for key, item in records.items():
        if not key.startswith(prefix):
            continue
        try:
            found.append(msgspec.json.decode(item.value, type=Artifact))
        except msgspec.DecodeError as error:
            log.warning("record of a bundle not understood", key=key, error=str(error))
    return found


def _registries(settings: Settings) -> tuple[ArtifactRegistry, ...]:
    directory = _certificates(settings.tls_directory)
    context = _client_context(directory) if directory else None
    return tuple(ArtifactRegistry(address, context) for address in settings.registries)


def _client_context(directory: Path) -> RenewingContext:
    ca, cert, key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
    return client_context(ca=ca, cert=cert, key=key, whose="the provisioning server's")


def _certificates(directory: Path | None) -> Path | None:
    """The directory, if it holds certificates: without them everything is plain, as etcd is then."""
    return directory if directory and (directory / "cert.pem").exists() else None
