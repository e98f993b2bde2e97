"""A Pelix framework as this project runs it: components, remote shell, pages, and an end that comes in time.

Node agents and the provisioning server are both such frameworks. `serve` is the life of their process: start, wait for
SIGTERM (or for a failure somebody reports), stop, exit. Stopping takes at most `STOP_WITHIN_S`; what hangs longer is
named and left behind, because a supervisor would send SIGKILL next.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn, Protocol

import structlog
from pelix.framework import Framework, FrameworkFactory, create_framework
from pelix.ipopo.constants import use_ipopo
from pelix.ipopo.instance import StoredInstance
from pelix.shell import FACTORY_REMOTE_SHELL

from inaetics.errors import InaeticsError, Unavailable
from inaetics.provisioning import pages

log = structlog.get_logger()

STOP_WITHIN_S = 4.5
"""A container's stop command allows more; the promise to users is five seconds."""

LOOK_S = 1.0
"""How late a signal may be noticed at the latest."""

BUNDLES = (
    "pelix.ipopo.core",
    "pelix.services.configadmin",
    "pelix.services.eventadmin",
    "pelix.shell.core",
    "pelix.shell.ipopo",
    "pelix.shell.configadmin",
    "pelix.shell.eventadmin",
    "pelix.shell.remote",
    pages.__name__,
)


_QUIET = {"pelix.http.logger.level": "WARNING"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkSettings:
    """Where a framework listens, and what it tells its bundles."""

    address: str
    """The host's address; pages are bound to it and to nothing else."""
    page_port: int
    """0 takes any free port, as do the others."""
    shell_port: int
    debug_port: int | None = None
    """Only when set is there a debugger (debugpy)."""
    properties: Mapping[str, object] = field(default_factory=dict)
    """Framework properties."""


def start_framework(settings: FrameworkSettings, *bundles: str) -> Framework:
    """Start a framework with `BUNDLES` and then `bundles`, its shell and its pages.

    Raises `Unavailable` when a port is taken; then nothing is left running.
    """
    framework = create_framework((*BUNDLES, *bundles), dict(settings.properties))
    framework.start()
    try:
        pages_at = {"pelix.http.address": settings.address, "pelix.http.port": settings.page_port} | _QUIET
        instantiate(framework, pages.FACTORY, "pages", pages_at)
        shell_at = {"pelix.shell.address": shell_address(settings.address), "pelix.shell.port": settings.shell_port}
        _check_free(shell_address(settings.address), settings.shell_port)
        instantiate(framework, FACTORY_REMOTE_SHELL, "shell", shell_at)
        if settings.debug_port is not None:
            _start_debugger(shell_address(settings.address), settings.debug_port)
    except InaeticsError:
        stop_framework(framework)
        raise
    return framework


def stop_framework(framework: Framework) -> None:
    """Stop every bundle, the last one first, and forget the framework."""
    framework.stop()
    FrameworkFactory.delete_framework(framework)


def shell_address(address: str) -> str:
    """Where shell and debugger listen: whoever reaches them may do anything, and neither asks who it is.

    That is the host's address where it is a loopback one (local clusters), and 127.0.0.1 on real machines.
    """
    return address if ipaddress.ip_address(address).is_loopback else "127.0.0.1"


def instantiate(framework: Framework, factory: str, name: str, properties: Mapping[str, object]) -> Any:
    """Make a component and return it. Raises `Unavailable` with its own words when it does not become valid."""
    with use_ipopo(framework.get_bundle_context()) as ipopo:
        component = ipopo.instantiate(factory, name, dict(properties))
        details = ipopo.get_instance_details(name)
        if details["state"] == StoredInstance.VALID:
            return component
        trace = str(details.get("error_trace") or "it waits for a service").strip()
        ipopo.kill(name)
    raise Unavailable(f"cannot start {name} with {dict(properties)}: {trace.splitlines()[-1]}")


def _check_free(address: str, port: int) -> None:
    """Raise `Unavailable` when the port is taken: Pelix's shell would leave a socket open then."""
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        raise Unavailable(f"cannot start the shell at {address}:{port}: {error.strerror or error}") from error


def _start_debugger(address: str, port: int) -> None:
    """Let an editor attach (Debug Adapter Protocol). It costs memory and speed: not even imported unless asked for."""
    try:
        debugpy: Any = import_module("debugpy")
        debugpy.listen((address, port), in_process_debug_adapter=True)
    except (ImportError, OSError, RuntimeError) as error:
        raise Unavailable(f"cannot start the debugger on {address}:{port}: {error}") from error
    log.info("debugger listens", address=address, port=port)


class StopRequest:
    """Asks the process to end: by a signal, or by whoever finds that it cannot go on. The first one counts."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._lock = threading.Lock()
        self.status = 0

    def ask(self, reason: str, *, status: int = 0) -> None:
        """End the process with `status`; returns at once. Safe from any thread."""
        with self._lock:
            if self._asked.is_set():
                return
            self.status = status
            self._asked.set()
        log.log(40 if status else 20, "stopping", reason=reason)

    def on_signals(self) -> None:
        """Treat SIGTERM and SIGINT as the wish to end. Call from the main thread."""

        def handle(number: int, _frame: FrameType | None) -> None:
            # On a thread: the handler runs between two instructions of the main thread, which may hold our lock.
            threading.Thread(target=self.ask, args=(signal.Signals(number).name,), daemon=True).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handle)

    def wait(self) -> None:
        """Until somebody asks. A signal that comes just before the main thread sleeps does not wake it: it looks up."""
        while not self._asked.wait(LOOK_S):
            pass


class Service(Protocol):
    """What a process runs. `stop` is called once, also after a `start` that raised."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


def serve(make: Callable[[StopRequest], Service]) -> int:
    """Run a service until it is asked to stop; returns the exit status.

    An `InaeticsError` at start is logged and its exit code returned.
    """
    request = StopRequest()
    request.on_signals()
    status = 0
    began = time.monotonic()
    try:
        service = make(request)
    except InaeticsError as error:
        log.error("cannot start", error=str(error))  # noqa: TRY400 - the message is made for people
        return error.exit_code
    try:
        service.start()
        log.info("started", seconds=round(time.monotonic() - began, 3))
        request.wait()
        status = request.status
    except InaeticsError as error:
        log.error("cannot start", error=str(error))  # noqa: TRY400 - the message is made for people
        status = error.exit_code
    _stop_in_time(service)
    log.info("stopped", status=status)
    return status


def leave(status: int) -> NoReturn:
    """End the process now. A bundle may have left threads behind, and Python would wait for them for ever."""
    left = [
        thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()
    ]
    if left:
        log.warning("threads left behind", threads=left)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _stop_in_time(service: Service) -> None:
    """Stop the service; when that hangs, say where, and end the process as a failure."""
    watchdog = threading.Timer(STOP_WITHIN_S, _give_up, args=(threading.get_ident(),))
    watchdog.daemon = True
    watchdog.start()
    try:
        service.stop()
    finally:
        watchdog.cancel()


def _give_up(stopping_thread: int) -> None:
    frame = sys._current_frames().get(stopping_thread)
    where = [f"{f.f_code.co_filename}:{f.f_lineno} {f.f_code.co_name}" for f in _stack(frame)]
    log.error("stopping hangs, leaving", after_s=STOP_WITHIN_S, innermost=where[:8])
    leave(1)


def _stack(frame: FrameType | None) -> list[FrameType]:
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found
