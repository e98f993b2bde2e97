"""The node agent's process: a framework, remote services, a deployer, and etcd on its own thread."""

from __future__ import annotations

from functools import partial

import structlog
from pelix.framework import BundleContext, Framework
from pelix.http import HTTP_SERVLET, HTTP_SERVLET_PATH
from pelix.rsa.topologymanagers.basic import instantiate_basic_topology_manager
from pelix.shell import SERVICE_SHELL_COMMAND

from inaetics.errors import InvalidInput
from inaetics.node import api
from inaetics.node.deployer import Deployer, Trust
from inaetics.node.etcd_directory import EtcdDirectory
from inaetics.node.health import Doctor
from inaetics.node.health_page import PATHS, HealthPage, of_bundles
from inaetics.node.in_force import InForce
from inaetics.node.installer import Installer
from inaetics.node.journal import Journal
from inaetics.node.loader import BundleLoader
from inaetics.node.locks import break_locks
from inaetics.node.remote.discovery import Discovery
from inaetics.node.remote.distribution import Distribution
from inaetics.node.remote.tls import tls_contexts
from inaetics.node.shell_commands import ShellCommands
from inaetics.node.whose import visitors
from inaetics.provisioning.etcd_thread import EtcdThread
from inaetics.provisioning.framework import FrameworkSettings, StopRequest, start_framework, stop_framework
from inaetics.provisioning.settings import Settings
from inaetics.store.etcd import connect

log = structlog.get_logger()

REMOTE_BUNDLES = ("pelix.rsa.remoteserviceadmin", "pelix.rsa.topologymanagers.basic", "pelix.rsa.shell")


class Agent:
    """A node agent; see `inaetics.provisioning.framework.Service`."""

    def __init__(self, settings: Settings, request: StopRequest, journal: Journal | None = None) -> None:
        self._settings = settings
        self._journal = journal or Journal()
        self._tls = tls_contexts(settings.tls_directory) if settings.tls_directory else None
        if self._tls is None:
            log.warning("no certificates: remote services are neither encrypted nor authenticated")
        open_store = partial(connect, settings.etcd_endpoints, tls=settings.etcd_tls)
        self._failed = lambda reason: request.ask(reason, status=1)
        self._etcd = EtcdThread(open_store, failed=self._failed)
        self._framework: Framework | None = None
        self._installer: Installer | None = None
        self._deployer: Deployer | None = None
        self._discovery: Discovery | None = None
        self._distribution: Distribution | None = None

    def start(self) -> None:
        _make_directory(self._settings)
        break_locks()
        framework = self._framework = start_framework(_framework_settings(self._settings), *REMOTE_BUNDLES)
        instantiate_basic_topology_manager(framework.get_bundle_context())
        distribution = self._distribution = Distribution(framework, self._tls)
        distribution.start()
        self._discovery = Discovery(framework, EtcdDirectory(self._etcd))
        self._discovery.start()
        self._installer = Installer(
            BundleLoader(framework.get_bundle_context()),
            busy=lambda package: [*visitors(package), *distribution.inside(package)],
            stuck=self._stuck,
        )
        in_force = InForce()
        self._deployer = Deployer(
            self._settings.agent,
            self._installer,
            self._settings.data / "agent",
            where=f"{self._settings.host} {self._settings.address}".strip(),
            failed=self._failed,
            trust=Trust(tls=self._tls.client if self._tls else None, anchors=self._settings.anchors, in_force=in_force),
            address=self._settings.address,
        )
        self._show(framework.get_bundle_context(), self._installer, self._deployer, self._discovery)
        self._etcd.add("provisioning servers", self._deployer.follow_servers)
        self._etcd.add("version in force", in_force.follow)
        self._etcd.start()
        self._deployer.start()

    def _show(self, context: BundleContext, installer: Installer, deployer: Deployer, discovery: Discovery) -> None:
        """Health and metrics on the page port, commands in the shell."""
        distribution = self._distribution
        assert distribution is not None, "it was started before"
        doctor = Doctor(
            self._settings.agent,
            context,
            installer,
            lambda: deployer.standing,
            lambda: distribution.counts,
            lambda: discovery.unannounced,
        )
        page = HealthPage(doctor, lambda: of_bundles(context))
        context.register_service(HTTP_SERVLET, page, {HTTP_SERVLET_PATH: PATHS})
        context.register_service(SERVICE_SHELL_COMMAND, ShellCommands(doctor, self._journal), {})

    def _stuck(self, reason: str) -> None:
        if self._deployer is not None:
            self._deployer.stuck(reason)

    def stop(self) -> None:
        """First the bundles, the last started first, while everything they use is there; then what carried them."""
        if self._deployer is not None:
            self._deployer.stop()
        if self._distribution is not None:
            self._distribution.hurry(1.0)  # SIGTERM leaves five seconds for everything
        if self._installer is not None:
            self._installer.stop_all()
        if self._discovery is not None:
            self._discovery.stop()
        self._etcd.stop()
        if self._distribution is not None:
            self._distribution.stop()
        if self._framework is not None:
            stop_framework(self._framework)


def _framework_settings(settings: Settings) -> FrameworkSettings:
    """What bundles are told. Raises `InvalidInput` when the unit sets by hand what follows from its other variables."""
    own = _own_properties(settings)
    for name in sorted(settings.properties.keys() & own.keys()):
        raise InvalidInput(
            f"INAETICS_PROPERTIES sets {name}: the agent says that itself ({settings.properties[name]!r} is not for it;"
            " variables of their own in the unit set address, host, ports, data and endpoints)"
        )
    if settings.properties:
        log.info("properties from the unit", properties=dict(settings.properties))
    return FrameworkSettings(
        address=settings.address,
        page_port=settings.page_port,
        shell_port=settings.shell_port,
        debug_port=settings.debug_port,
        properties={**settings.properties, **own},
    )


def _own_properties(settings: Settings) -> dict[str, object]:
    return {
        api.AGENT: settings.agent,
        api.ADDRESS: settings.address,
        api.HOST: settings.host,
        api.PAGE_PORT: settings.page_port,
        api.DATA: str(settings.data),
        api.API_ENDPOINTS: ",".join(settings.api_endpoints),
        api.TLS: str(settings.tls_directory or ""),
    }


def _make_directory(settings: Settings) -> None:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"cannot use the data directory {settings.data}: {error.strerror or error}") from error
