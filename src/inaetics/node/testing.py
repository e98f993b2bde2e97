"""For tests of bundles: a framework in this process, as a node agent has it, without a cluster.

    from inaetics.node.testing import BundleFramework

    def test_greeter():
        with BundleFramework() as framework:
            framework.install("greeter")                        # the bundle's folder
            greeter = framework.service("greeter.Greeter", remote=True)
            assert greeter.greet("you") == "hello you"

A folder is packed, checked and started exactly as an agent does it, so what works here starts there. `provide` stands
in for services of other bundles, `service(…, remote=True)` for the way over the network: arguments and answers are what
would arrive. At the end everything is stopped; `left` names threads that a bundle did not stop.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from pelix.framework import BundleContext, Framework

from inaetics.bundles.archive import open_archive, pack
from inaetics.errors import InvalidInput, NotFound
from inaetics.node import api
from inaetics.node.installer import Installer
from inaetics.node.loader import BundleLoader
from inaetics.node.locks import break_locks
from inaetics.provisioning.framework import FrameworkSettings, start_framework, stop_framework

ADDRESS = "127.0.0.1"
WITHIN_S = 5.0

T = TypeVar("T")


class BundleFramework:
    """Use it with ``with``, one at a time. `agent` and `properties` are what bundles read (`inaetics.node.api`)."""

    def __init__(self, *, agent: str = "test@1", properties: Mapping[str, object] | None = None) -> None:
        self._agent = agent
        self._properties = dict(properties or {})
        self._end = ExitStack()
        self._framework: Framework | None = None
        self._installer: Installer | None = None
        self._page_port = 0
        self._directory = Path()

    def __enter__(self) -> BundleFramework:
        self._directory = Path(self._end.enter_context(tempfile.TemporaryDirectory(prefix="inaetics-bundles-")))
        self._page_port = _free_port()
        break_locks()
        properties = {
            api.AGENT: self._agent,
            api.ADDRESS: ADDRESS,
            api.HOST: "test-host",
            api.PAGE_PORT: self._page_port,
            api.DATA: str(self._directory),
            **self._properties,
        }
        framework = start_framework(
            FrameworkSettings(address=ADDRESS, page_port=self._page_port, shell_port=0, properties=properties)
        )
        self._end.callback(stop_framework, framework)
        self._framework = framework
        self._installer = Installer(BundleLoader(framework.get_bundle_context()))
        self._end.callback(self._installer.stop_all)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    @property
    def context(self) -> BundleContext:
        """Pelix's own view: everything it can do may be used."""
        if self._framework is None:
            raise InvalidInput("the framework does not run: use it with `with BundleFramework() as framework:`")
        return self._framework.get_bundle_context()

    @property
    def url(self) -> str:
        """Where the bundles' pages are."""
        return f"http://{ADDRESS}:{self._page_port}"

    @property
    def left(self) -> dict[str, list[str]]:
        """Threads that bundles which are gone have left behind, by bundle (``name-version``)."""
        return self._installed_by().leaked

    def install(self, *folders: str | Path, within_s: float = WITHIN_S) -> None:
        """Pack the bundles in these folders and start them, as one step, beside those that run.

        A bundle of a name that runs is replaced, as in an update. Raises `InvalidInput` when anything is wrong with
        one: then none of them runs, and what ran before runs on.
        """
        installer = self._installed_by()
        new = [
            open_archive(pack(Path(folder).resolve(), self._directory / str(time.monotonic_ns()))) for folder in folders
        ]
        names = {archive.manifest.name for archive in new}
        kept = [archive for archive in installer.running if archive.manifest.name not in names]
        installer.switch([*kept, *new], within_s=within_s)

    def uninstall(self, *names: str) -> None:
        """Stop the bundles of these names and remove them."""
        installer = self._installed_by()
        running = {archive.manifest.name for archive in installer.running}
        if unknown := sorted({*names} - running):
            raise NotFound(
                f"there is no bundle {unknown[0]!r} here (there are: {', '.join(sorted(running)) or 'none'})"
            )
        installer.switch([archive for archive in installer.running if archive.manifest.name not in names])

    def provide(self, specification: str, service: object, **properties: object) -> Callable[[], None]:
        """Offer a service in place of another bundle's; call what this returns to take it away."""
        registration = self.context.register_service(specification, service, dict(properties))
        return lambda: registration.unregister()

    def service(
        self, specification: str, *, filter: str | None = None, remote: bool = False, within_s: float = WITHIN_S
    ) -> Any:
        """The service of this name as soon as there is one; `filter` is LDAP's form, such as ``(colour=red)``.

        With `remote` it is as another agent sees it. Raises `NotFound` when there is none `within_s`.
        """

        def look() -> Any:
            return self.context.get_service_reference(specification, filter)

        reference = self.wait(look, within_s=within_s, what=f"a service {specification!r}")
        found = self.context.get_service(reference)
        return _AsRemote(found) if remote else found

    def has(self, specification: str, *, filter: str | None = None) -> bool:
        """Whether there is such a service now."""
        return self.context.get_service_reference(specification, filter) is not None

    def wait(self, look: Callable[[], T], *, within_s: float = WITHIN_S, what: str = "it") -> T:
        """Call `look` until it returns something true, and return that. Raises `NotFound` after `within_s`."""
        until = time.monotonic() + within_s
        while not (found := look()):
            if time.monotonic() >= until:
                raise NotFound(f"there is not {what} within {within_s:g} s")
            time.sleep(0.01)
        return found

    def _installed_by(self) -> Installer:
        if self._installer is None:
            raise InvalidInput("the framework does not run: use it with `with BundleFramework() as framework:`")
        return self._installer


class _AsRemote:
    """A service behind the wire: values are encoded and decoded on both ways, private methods are not there."""

    def __init__(self, service: object) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._service, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            there = _over_the_wire([args, kwargs])
            return _over_the_wire(method(*there[0], **there[1]))

        return call


def _over_the_wire(value: Any) -> Any:
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"cannot send {type(value).__name__}: {error}") from error


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as server:
        return int(server.getsockname()[1])
