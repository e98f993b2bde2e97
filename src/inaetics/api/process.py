"""Puts the process together: store, mirror, engine candidate, both listeners; one task group for all of them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import structlog

from inaetics.api.agents import RemoteAgents
from inaetics.api.app import build_app
from inaetics.api.endpoint import ClientTls
from inaetics.api.listener import Listener, server_context, tcp_socket, unix_socket
from inaetics.api.metered_store import MeteredStore
from inaetics.api.metrics import Metrics
from inaetics.api.peers import read_authorities
from inaetics.api.provisioning import Provisioning
from inaetics.api.provisioning_archives import Archives, RegistryArchives
from inaetics.api.provisioning_trials import Trials
from inaetics.api.pulse import Pulse
from inaetics.api.services import Services
from inaetics.api.settings import ApiSettings
from inaetics.fleet.engine import Engine
from inaetics.fleet.events_chronicle import Chronicle
from inaetics.fleet.image_tags import RegistryTags, Tags
from inaetics.fleet.mirror import Mirror
from inaetics.fleet.registry import Registry
from inaetics.store.etcd import Tls, connect
from inaetics.store.protocol import Store
from inaetics.tasks import TaskGroup
from inaetics.tls import client_context

_log = structlog.get_logger()


async def serve(settings: ApiSettings, *, stopping: asyncio.Event, ready: Callable[[], object]) -> None:
    """Serve until `stopping` is set; calls `ready` once both listeners answer.

    A store that does not answer yet is no reason to wait: reads are refused with 503 until it does.
    """
    tls = Tls(ca=settings.tls.ca, cert=settings.tls.cert, key=settings.tls.key)
    plain = all(endpoint.startswith("http://") for endpoint in settings.etcd_endpoints)
    async with connect(settings.etcd_endpoints, tls=None if plain else tls, tell_slow=True) as store:
        await serve_over(store, settings, stopping=stopping, ready=ready)


async def serve_over(
    store: Store,
    settings: ApiSettings,
    *,
    stopping: asyncio.Event,
    ready: Callable[[], object],
    tags: Tags | None = None,
    archives: Archives | None = None,
) -> None:
    """As `serve`, over a store that is open; `tags` and `archives` in the place of the cluster's registries."""
    metrics = Metrics()
    store = MeteredStore(store, metrics.on_store)
    mirror = Mirror(store)
    tags = tags or RegistryTags(settings.registries, settings.registry_certificates)
    services = Services(
        metrics=metrics,
        store=store,
        mirror=mirror,
        registry=Registry(store, tags),
        tags=tags,
        agents=RemoteAgents(_agents_context(settings.tls)),
        pulse=Pulse(store),
        chronicle=Chronicle(store, mirror, settings.events),
        stopping=stopping,
        archives=archives or RegistryArchives(settings.registries, settings.registry_certificates),
        signers=settings.tls.ca,
        power_switch=settings.power_switch,
    )
    engine = Engine(store, mirror, candidate=settings.candidate, on_plan=metrics.on_plan)
    trials = Trials(store, Provisioning(store, archives=services.archives, anchors=services.signers))
    app = build_app(services)
    with ExitStack() as sockets:
        socket = sockets.enter_context(unix_socket(settings.socket))
        sockets.callback(settings.socket.unlink, missing_ok=True)
        sockets.enter_context(services.recent.following(mirror))
        port = sockets.enter_context(tcp_socket(settings.address, settings.port))
        listeners = (
            Listener(app, socket, stopping, None),
            Listener(
                app,
                port,
                stopping,
                server_context(replace(settings.tls, ca=settings.clients_ca)),
                read_authorities(own=settings.tls.ca, nodes=settings.nodes_ca, clients=settings.clients_ca),
            ),
        )
        async with TaskGroup() as group:
            background = [
                group.create_task(mirror.run(), name="mirror"),
                group.create_task(services.pulse.run(), name="pulse"),
                group.create_task(services.chronicle.run(), name="events"),
                group.create_task(engine.run(), name="engine"),
                group.create_task(trials.run(), name="trials"),
            ]
            for listener in listeners:
                group.create_task(listener.run_until_stopped(), name="listener")
            group.create_task(_announce(listeners, settings, ready), name="announce")
            await stopping.wait()
            for task in background:
                task.cancel()
    _log.info("fleet API stopped")


async def _announce(listeners: tuple[Listener, ...], settings: ApiSettings, ready: Callable[[], object]) -> None:
    for listener in listeners:
        await listener.listening.wait()
    _log.info(
        "fleet API serves",
        socket=str(settings.socket),
        address=f"https://{settings.address}:{settings.port}",
    )
    ready()


def _agents_context(tls: ClientTls) -> ssl.SSLContext:
    """TLS towards agents: trusts the cluster's CA only, and shows the API's certificate."""
    return client_context(ca=tls.ca, cert=tls.cert, key=tls.key, whose="the API's")
