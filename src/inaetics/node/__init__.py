'''The node agent: a Pelix framework that receives its software as bundles.

For authors of bundles
======================

**A bundle is a folder** that is a Python package with a ``bundle.json`` (its form: `inaetics.bundles.archive`)::

    clock/
        bundle.json      {"name": "clock", "version": "1.0.0", "entry": "component"}
        __init__.py      empty, usually
        component.py     the entry: Pelix looks here, and only here, for an activator and for iPOPO factories
        clock.html       anything else, read with importlib.resources.files(__package__) / "clock.html"

Every version runs under a package name of its own (`inaetics.node.loader`), old and new side by side for a moment. So:
import the bundle's own modules relatively (``from .words import WORD``), share with other bundles only what is in the
image (an ``api`` module, the standard library, msgspec, structlog, pelix), and let iPOPO's names, which are global,
begin with ``__name__`` (two bundles that offer one factory are refused)::

    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Requires, Validate
    from inaetics.node import api

    @ComponentFactory(f"{__name__}.clock")
    @Provides("inaetics.demonstrator.api.Clock")
    @Property("_exported", api.EXPORTED_INTERFACES, "*")
    @Requires("_log", "inaetics.demonstrator.api.Log", optional=True)
    @Instantiate(f"{__name__}.clock-1")
    class Clock:
        @Validate
        def validate(self, context):
            self.agent = context.get_property(api.AGENT)

        @Invalidate
        def invalidate(self, context):
            """Stop every thread that was started, within five seconds; SIGTERM leaves three for all together."""

A bundle may instead, or also, have a plain activator: a class with ``start(context)`` and ``stop(context)`` under
`pelix.constants.BundleActivator`. A bundle did not start when importing it, its activator, or ``@Validate`` of a
component raises, or takes longer than the deployment's ``within_s`` (20 seconds unless the mapping says otherwise);
then the whole deployment goes back. A component that waits for a service is no failure: services come and go, and
remote ones may appear later. One that hangs in its stop is removed by force; its thread is named in ``/health`` for as
long as it lives, as are threads that a bundle did not stop (``docs/how-to/bundles.md``).

**Updates.** A new version is started beside the old one, whose services are withdrawn then; calls inside it come to
their end before it is stopped. A component that shall go on while a service it requires is exchanged says so:
``@Requires("_log", "log", immediate_rebind=True)``; without it iPOPO invalidates it and validates it again.

**Services to other agents.** Set ``service.exported.interfaces`` to ``"*"`` (every specification of the service) or a
list; ``service.exported.configs`` may say `api.REMOTE_CONFIG`, which is the only one and the default. An importer needs
nothing: a plain ``@Requires`` on the specification is satisfied by a local or by a remote service, and its service
properties (``@Requires(..., spec_filter="(inaetics.agent=felix@2)")``) travel along; exported services carry
`api.REMOTE_AGENT`. A remote service is a proxy with the methods of the specification.

Values travel as msgpack: None, bool, int, float, str, bytes, lists and dicts arrive as they are; tuples arrive as
lists; structs (`msgspec.Struct`, smallest with ``array_like=True``) and dataclasses arrive as the lists or dicts they
are made of, on both ways, and ``msgspec.convert(value, Type)`` makes them what they were. A method whose name begins
with ``_`` is not remote. Calls come on threads of the provider, several at once: guard state with a lock. A caller
gets `Unavailable` when the provider is gone or silent (`api.REMOTE_TIMEOUT_S`), the same class when the provider
raised `InvalidInput`, `NotFound` or `Conflict`, and `CallFailed` otherwise; the first and the last are
`pelix.rsa.RemoteServiceError` too. Nothing is sent twice by itself. Move many things in one call: one call costs about
50 µs, a thousand samples in it hardly more.

**Framework properties** (``context.get_property``): `api.AGENT`, `api.ADDRESS`, `api.HOST`, `api.PAGE_PORT`,
`api.DATA`.

**Pages.** Provide a servlet as Pelix's whiteboard has it::

    @ComponentFactory(f"{__name__}.page")
    @Provides(pelix.http.HTTP_SERVLET)
    @Property("_path", pelix.http.HTTP_SERVLET_PATH, ["/", "/statistics"])
    @Instantiate(f"{__name__}.page-1")
    class Page:
        def do_GET(self, request, response):        # request.get_path(), .get_header(), .read_data()
            response.send_content(200, html, "text/html; charset=utf-8")

It appears at ``http://ADDRESS:PAGE_PORT``; ``/health`` and ``/metrics`` are the agent's own. ``/x`` also serves what is
below it unless another servlet is closer. Two versions on one path are no error: the newer one serves it, and the older
one again when that goes. Handlers run on threads of their own; a long answer (server-sent events) may block in one.
Pelix strips the query off the path: `inaetics.provisioning.pages.query` has it.

**Exclusive things** (a data file, a port): open them when first used or retry for a moment, because the old version
still runs while the new one starts; it is stopped right after.

Logging: `structlog.get_logger()` or `logging`; both go to standard output, with the bundle's name, and the last lines
are in the agent's shell (``agent.logs BUNDLE``). Tests: `inaetics.node.testing`; ``inaetics bundle init`` makes a
bundle with its tests.
'''
