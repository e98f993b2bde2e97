"""The provisioning server: its framework, its desk, and what it does with etcd. It keeps no state of its own."""

from __future__ import annotations

import asyncio
import uuid
from functools import partial
from importlib.resources import files

import msgspec
import structlog
from pelix.framework import Framework
from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH

from inaetics.bundles.exchange import SERVERS, Registration
from inaetics.provisioning.desk import Desk
from inaetics.provisioning.etcd_thread import EtcdThread, hold_lease
from inaetics.provisioning.framework import FrameworkSettings, StopRequest, start_framework, stop_framework
from inaetics.provisioning.repository import read_repository
from inaetics.provisioning.servlet import Servlet
from inaetics.provisioning.settings import Settings
from inaetics.store.etcd import connect
from inaetics.store.protocol import Changed, KeyValue, Relisted, Store, WatchEvent

log = structlog.get_logger()

MAPPING = "/inaetics/provisioning/mapping"
LEASE_TTL_S = 5.0


class Server:
    """A provisioning server; see `inaetics.provisioning.framework.Service`."""

    def __init__(self, settings: Settings, request: StopRequest) -> None:
        self._settings = settings
        repository = read_repository(settings.bundles)
        for text in repository.refused:
            log.error("bundle refused", error=text)
        self._desk = Desk(repository)
        self._framework: Framework | None = None
        open_store = partial(connect, settings.etcd_endpoints, tls=settings.etcd_tls)
        self._etcd = EtcdThread(open_store, failed=lambda reason: request.ask(reason, status=1))
        self._etcd.add("mapping", self._follow_mapping)
        self._etcd.add("registration", self._register)

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
        framework.get_bundle_context().register_service(HTTP_SERVLET, Servlet(self._desk), {HTTP_SERVLET_PATH: "/"})
        self._etcd.start()

    def stop(self) -> None:
        """Withdraw from etcd first, so that agents ask elsewhere; then answer those that wait."""
        self._etcd.stop()
        self._desk.close()
        if self._framework is not None:
            stop_framework(self._framework)

    async def _follow_mapping(self, store: Store) -> None:
        async for event in store.watch(MAPPING):
            known, item = _mapping_of(event)
            if known:
                self._use(item)

    def _use(self, item: KeyValue | None) -> None:
        if item is None:
            text = (files(__package__) / "mapping.toml").read_text("utf-8")
            self._desk.use(text, source="the mapping as shipped", counter=0)
        else:
            text = item.value.decode("utf-8", "replace")
            self._desk.use(text, source=f"etcd, revision {item.mod_revision}", counter=item.mod_revision)

    async def _register(self, store: Store) -> None:
        """Stand in etcd for as long as the server lives. Who asks before the mapping was read is told to come again."""
        key = f"{SERVERS}{uuid.uuid4().hex}"
        url = f"http://{self._settings.address}:{self._settings.page_port}"

        async def under(lease: int) -> None:
            await store.put(key, msgspec.json.encode(Registration(url=url)), lease=lease)
            log.info("registered", key=key, url=url)
            await asyncio.Event().wait()

        await hold_lease(store, LEASE_TTL_S, key, under)


def _mapping_of(event: WatchEvent) -> tuple[bool, KeyValue | None]:
    """Whether the event says something of the mapping, and what it is then. The watch is of a prefix."""
    match event:
        case Relisted(listing=listing):
            return True, next((item for item in listing.items if item.key == MAPPING), None)
        case Changed(key=key, current=current) if key == MAPPING:
            return True, current
    return False, None
