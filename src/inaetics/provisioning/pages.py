"""Pelix's HTTP service, made fit for bundles that are replaced while people look at their pages.

What differs from `pelix.http.basic`, whose servlets, requests and responses it keeps:

- two servlets on one path are no error: the newest serves it, and when it goes the one before serves again (Pelix
  refuses the second and forgets it, so a page would vanish with every update of its bundle);
- nobody waits for open connections when it stops (Pelix joins a thread for every one, and a held request would hold up
  the end of the process);
- whoever connects is bounded in time and number (`page_server`);
- no look-up of the host's name when it starts (Pelix asks for it, and in a container nobody may answer for seconds).
"""

from __future__ import annotations

import socket
import threading
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from pelix.framework import BundleContext
from pelix.http import HTTP_SERVLET_PATH, AbstractHTTPServletRequest, Servlet
from pelix.http.basic import HttpServiceImpl
from pelix.internals.registry import ServiceReference
from pelix.ipopo.decorators import ComponentFactory, Validate

from inaetics.override import override
from inaetics.provisioning.page_server import PageHandler, PageServer

FACTORY = "inaetics-pages"


def query(request: AbstractHTTPServletRequest) -> dict[str, str]:
    """The query of a request, the first value of each name; Pelix strips it off `request.get_path()`."""
    raw = str(cast(Any, request)._handler.path)
    return {name: values[0] for name, values in parse_qs(urlsplit(raw).query, keep_blank_values=True).items()}


def take_over(request: AbstractHTTPServletRequest) -> socket.socket:
    """The connection of a request, once the head of its answer is sent: whoever calls this writes the rest and closes
    it, and the thread that served the request goes home."""
    handler = cast(Any, request)._handler
    handler.close_connection = True
    handler.connection.settimeout(None)
    return socket.socket(fileno=handler.connection.detach())


@ComponentFactory(FACTORY)
class Pages(HttpServiceImpl):
    """The HTTP service of an agent or a provisioning server; instantiate it by hand with address and port."""

    @Validate
    @override
    def validate(self, _: BundleContext) -> None:
        """Listen. Overrides the parent's by its name: iPOPO calls the parent's otherwise."""
        self._normalize_configuration()
        self._setup_logger()
        self._server = PageServer((self._address, self._port), self._handler_class(), 64, self._logger)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="pages", daemon=True)
        self._thread.start()
        self._register_bound_servlets()

    def _handler_class(self) -> type[PageHandler]:
        service = self

        class Handler(PageHandler):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(service, *args, **kwargs)

        return Handler

    @override
    def _register_servlet_service(self, service: Servlet, service_reference: ServiceReference[Any]) -> None:
        for path in _paths(service_reference):
            self._give(path, service, service_reference)

    @override
    def _on_unbind(self, service: Any, service_reference: ServiceReference[Any]) -> None:
        with self._binding_lock, self._lock:
            super()._on_unbind(service, service_reference)
            if self._validated:
                self._give_back(set(_paths(service_reference)))

    def _give(self, path: str, service: Servlet, reference: ServiceReference[Any]) -> None:
        """Let `service` serve `path` from now on; no request falls between the two."""
        with self._lock:
            self.unregister(path)
            self.register_servlet(path, service, self._get_servlet_parameters(reference))

    def _give_back(self, freed: set[str]) -> None:
        """Let each freed path be served by the newest of those that want it; they are kept in the order they came."""
        for service, reference in self._servlets_refs.items():
            for path in freed.intersection(_paths(reference)):
                self._give(path, service, reference)


def _paths(reference: ServiceReference[Any]) -> list[str]:
    paths = reference.get_property(HTTP_SERVLET_PATH)
    return [paths] if isinstance(paths, str) else list(paths or ())
