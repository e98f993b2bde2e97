"""Installs versions of bundles side by side, and takes them away without a trace.

Python knows a module by one name, so two versions of a bundle would be one module; `Bundle.update()` reloads in place
and may keep old code while it reports success. Here every version of every bundle is imported straight from its own
archive under a package name of its own (``processor_1_0_0_3fa91c02``), and handed to Pelix as a bundle like any other.
A new version is started beside the old one; the old one is stopped afterwards. So services are handed over without a
gap, and a version that does not start is removed again while the old one has not even noticed.

After `uninstall` nothing of the bundle is left in `sys.modules` and in the import system's caches. Whatever calls a
bundle's code may hang in it: `inaetics.node.installer` runs these calls for a limited time, and `force` removes what
did not come back.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import zipimport
from contextlib import suppress
from dataclasses import dataclass
from importlib.readers import ZipReader
from pathlib import Path
from typing import Any, cast

from pelix.constants import BundleException, FrameworkException
from pelix.framework import Bundle, BundleContext
from pelix.internals.events import BundleEvent, ServiceEvent
from pelix.ipopo.constants import IPOPO_FACTORY_CONTEXT, use_ipopo
from pelix.ipopo.instance import StoredInstance

from inaetics.bundles.archive import Archive
from inaetics.bundles.manifest import Manifest
from inaetics.errors import InvalidInput
from inaetics.override import override


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One version of a bundle inside the framework. `package` is the name its code was imported under."""

    archive: Archive
    package: str
    bundle: Bundle

    @property
    def manifest(self) -> Manifest:
        return self.archive.manifest


class BundleLoader:
    """Installs, starts, upgrades and uninstalls bundle archives in one framework. Use it from one thread."""

    def __init__(self, context: BundleContext) -> None:
        self._context = context
        self._installed: dict[str, Installed] = {}
        self._importing: set[str] = set()
        self._factories: dict[str, set[str]] = {}

    @property
    def packages(self) -> list[str]:
        """The names under which bundles' code runs now."""
        return [*self._installed, *self._importing]

    @property
    def installed(self) -> tuple[Installed, ...]:
        """What is installed, in the order of installation."""
        return tuple(self._installed.values())

    def install(self, archive: Archive) -> Installed:
        """Import the archive's code under its own name and install it, not started.

        Idempotent for one archive. Raises `InvalidInput` when importing it raises or a factory name is taken; then
        nothing of it is left.
        """
        package = package_name(archive)
        if package in self._installed:
            return self._installed[package]
        self._importing.add(package)
        try:
            module = _import(archive, package)
            factories = _factory_names(module)
            self._check_factories(factories, archive)
            bundle = self._context.install_bundle(module.__name__)
        except BaseException:
            _purge(package, archive.path)
            raise
        finally:
            self._importing.discard(package)
        installed = Installed(archive=archive, package=package, bundle=bundle)
        self._installed[package] = installed
        self._factories[package] = factories
        return installed

    def start(self, installed: Installed) -> None:
        """Start it. Raises `InvalidInput` when its activator or one of its components fails; it is stopped then."""
        manifest = installed.manifest
        try:
            installed.bundle.start()
            self._check_components(installed)
        except (BundleException, FrameworkException) as error:
            _drop_services(installed.bundle)
            raise InvalidInput(f"cannot start bundle {manifest.key}: {_words(error)}") from error
        except InvalidInput:
            installed.bundle.stop()
            raise

    def withdraw(self, installed: Installed) -> None:
        """Take its services off the market and let everybody who uses them know; it runs on.

        Their users go to other services now, if there are any; calls in flight are not disturbed. Whoever registered
        the services may unregister them afterwards, as always.
        """
        framework: Any = self._context.get_framework()
        for reference in framework._hide_bundle_services(installed.bundle):
            if not reference.is_factory():
                framework._dispatcher.fire_service_event(ServiceEvent(ServiceEvent.UNREGISTERING, reference))

    def uninstall(self, installed: Installed) -> None:
        """Stop it and remove it with all its modules. Raises `InvalidInput` when its stop fails, after removing it."""
        try:
            installed.bundle.stop()
        except (BundleException, FrameworkException) as error:
            raise InvalidInput(f"bundle {installed.manifest.key} failed to stop: {_words(error)}") from error
        finally:
            self._remove(installed)

    def force(self, installed: Installed) -> None:
        """Remove it whatever it is doing: its stop was called and did not return, or must not be called any more."""
        bundle: Any = installed.bundle
        framework: Any = self._context.get_framework()
        framework._hide_bundle_services(bundle)
        bundle._fire_bundle_event(BundleEvent.STOPPING_PRECLEAN)  # iPOPO removes its factories and components
        _drop_services(bundle)
        framework._unget_used_services(bundle)
        bundle._state = Bundle.RESOLVED
        self._remove(installed)

    def forget(self, archive: Archive) -> None:
        """Drop what an import left that did not come to its end."""
        _purge(package_name(archive), archive.path)

    def _remove(self, installed: Installed) -> None:
        self._installed.pop(installed.package, None)
        self._factories.pop(installed.package, None)
        with suppress(BundleException):  # a stop that came back late has removed it
            installed.bundle.uninstall()
        _purge(installed.package, installed.archive.path)

    def upgrade(self, old: Installed, archive: Archive) -> Installed:
        """Start `archive` beside `old`, then remove `old`; when it does not start, `old` goes on and this raises."""
        new = self.install(archive)
        if new.package == old.package:
            return new
        try:
            self.start(new)
        except InvalidInput:
            self.uninstall(new)
            raise
        self.uninstall(old)
        return new

    def _check_factories(self, names: set[str], archive: Archive) -> None:
        """Factory names are global in iPOPO, which only logs a second one: refuse it here.

        What is installed may not have started yet, so iPOPO alone does not know all names.
        """
        with use_ipopo(self._context) as ipopo:
            taken = {name: ipopo.get_factory_bundle(name).get_symbolic_name() for name in ipopo.get_factories()}
        for package, factories in self._factories.items():
            taken.update(dict.fromkeys(factories, package))
        for name in sorted(names & taken.keys()):
            raise InvalidInput(
                f"cannot install bundle {archive.manifest.key}: its factory {name!r} exists already, in {taken[name]} "
                '(begin factory names with f"{__name__}.", so that they differ by version)'
            )

    def _check_components(self, installed: Installed) -> None:
        """iPOPO logs a component that fails to validate and goes on: a bundle that has one did not start."""
        with use_ipopo(self._context) as ipopo:
            for name, factory, state in ipopo.get_instances():
                if state != StoredInstance.ERRONEOUS or ipopo.get_factory_bundle(factory) is not installed.bundle:
                    continue
                trace = str(ipopo.get_instance_details(name).get("error_trace") or "no trace").strip()
                raise InvalidInput(
                    f"cannot start bundle {installed.manifest.key}: component {name} failed: {trace.splitlines()[-1]}"
                )


def package_name(archive: Archive) -> str:
    """The name an archive's code is imported under: unique for name, version and content."""
    manifest = archive.manifest
    return f"{manifest.name}_{manifest.version.replace('.', '_')}_{archive.sha256[:8]}"


class _PackageLoader(importlib.abc.Loader):
    """Loads the archive's one package under another name; its submodules then come by zipimport as usual."""

    def __init__(self, archive: Path, folder: str) -> None:
        self._zip = zipimport.zipimporter(str(archive))
        self._folder = folder

    @override
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return None

    @override
    def exec_module(self, module: types.ModuleType) -> None:
        exec(self._zip.get_code(self._folder), module.__dict__)

    def get_source(self, fullname: str) -> str | None:
        """The package's source, so that tracebacks show its lines."""
        return self._zip.get_source(self._folder)

    def get_data(self, pathname: str) -> bytes:
        return self._zip.get_data(pathname)

    def get_resource_reader(self, fullname: str) -> ZipReader:
        """`importlib.resources.files(__package__)` works in bundles."""
        return ZipReader(self._zip, self._folder)


def _import(archive: Archive, package: str) -> types.ModuleType:
    """Import the package and its entry module; whatever the bundle's code raises becomes `InvalidInput`."""
    manifest = archive.manifest
    root = f"{archive.path}/{manifest.name}"
    try:
        loader = _PackageLoader(archive.path, manifest.name)
        spec = importlib.machinery.ModuleSpec(package, loader, origin=f"{root}/__init__.py", is_package=True)
        spec.submodule_search_locations = [root]
        spec.has_location = True
        module = importlib.util.module_from_spec(spec)
        vars(module)["__bundle__"] = manifest.name  # whose code this is, without the version
        sys.modules[package] = module
        loader.exec_module(module)
        return importlib.import_module(f"{package}.{manifest.entry}") if manifest.entry else module
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"cannot import bundle {manifest.key}: {type(error).__name__}: {error}") from error


def _factory_names(module: types.ModuleType) -> set[str]:
    """Names of the iPOPO factories that are defined in `module` itself: iPOPO registers no others."""
    contexts = [
        vars(value).get(IPOPO_FACTORY_CONTEXT)
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    return {str(cast(Any, context).name) for context in contexts if context is not None}


def _drop_services(bundle: Bundle) -> None:
    """Unregister what an activator registered before it failed.

    Pelix sets such a bundle back to installed with its services still there, and then has nothing to stop.
    """
    unregister = getattr(bundle, "_Bundle__unregister_services")  # noqa: B009 - a private method has no other spelling
    unregister()


def _purge(package: str, archive: Path) -> None:
    """Forget every module of `package` and what the import system remembers of its archive."""
    for name in [name for name in list(sys.modules) if name == package or name.startswith(f"{package}.")]:
        sys.modules.pop(name, None)
    for path in [
        path for path in list(sys.path_importer_cache) if path == str(archive) or path.startswith(f"{archive}/")
    ]:
        sys.path_importer_cache.pop(path, None)
    directories: dict[str, Any] = getattr(zipimport, "_zip_directory_cache", {})
    directories.pop(str(archive), None)


def _words(error: BaseException) -> str:
    """What an activator raised: Pelix wraps it once."""
    inner = error.__context__ or error
    return f"{type(inner).__name__}: {inner}" if str(inner) else type(inner).__name__
