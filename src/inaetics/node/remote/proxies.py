"""What stands for a service in another agent.

A proxy has the methods of the service, and a caller waits for each. Three views of it call otherwise::

    futures = [asynchronous(queue).put(sample) for sample in samples]     # several in flight; Future.cancel() cancels
    one_way(statistics).reset()                                          # nobody waits, nobody answers
    within(queue, 0.2).take()                                            # another timeout than the service's

They take local services as well, whose methods they call at once, on this thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import structlog

from inaetics.node.remote.client import Peer
from inaetics.override import override

log = structlog.get_logger()

ASYNC_SUFFIX = "Async"


class RemoteService:
    """An imported endpoint and how to call it."""

    def __init__(self, peer: Peer, endpoint: str, *, timeout_s: float) -> None:
        self.peer = peer
        self.endpoint = endpoint
        self.timeout_s = timeout_s

    @override
    def __repr__(self) -> str:
        return f"{self.endpoint} at {self.peer.where}"


class Proxy:
    """Stands for a service in another agent: every public attribute is a method that calls it there.

    With `futures`, ``nameAsync`` calls ``name`` and returns a future, as Eclipse's remote services have it.
    """

    def __init__(self, service: RemoteService, *, futures: bool = False) -> None:
        self._service = service
        self._futures = futures

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._futures and name.endswith(ASYNC_SUFFIX):
            method = _later(self._service, name.removesuffix(ASYNC_SUFFIX), self._service.timeout_s)
        else:
            method = _waiting(self._service, name, self._service.timeout_s)
        self.__dict__[name] = method  # found without us from now on
        return method

    @override
    def __repr__(self) -> str:
        return f"<remote service {self._service}>"


class _View:
    """Calls a remote service in one of the ways below."""

    def __init__(self, service: RemoteService, make: Callable[..., Callable[..., Any]], timeout_s: float) -> None:
        self._service = service
        self._make = make
        self._timeout_s = timeout_s

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method = self._make(self._service, name, self._timeout_s)
        self.__dict__[name] = method
        return method


class _Local:
    """Calls a local service at once."""

    def __init__(self, service: Any, call: Callable[..., Any]) -> None:
        self._service = service
        self._call = call

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        method, call = getattr(self._service, name), self._call
        return lambda *args, **kwargs: call(method, args, kwargs)


def asynchronous(service: Any, *, timeout_s: float | None = None) -> Any:
    """A view whose methods return a `concurrent.futures.Future` at once; ``asyncio.wrap_future`` awaits it.

    They block only while the provider has as many calls of ours as it takes. Cancelling a future tells the provider. A
    callback of a future must not take long: others wait for its thread.
    """
    return _view(service, _later, timeout_s) or _Local(service, _at_once)


def one_way(service: Any, *, timeout_s: float | None = None) -> Any:
    """A view whose methods return None when the call is on its way. What becomes of it is not told."""
    return _view(service, _sent, timeout_s) or _Local(service, _unheard)


def within(service: Any, timeout_s: float) -> Any:
    """A view whose methods wait `timeout_s` for their answer."""
    return _view(service, _waiting, timeout_s) or service


def _view(service: Any, make: Callable[..., Callable[..., Any]], timeout_s: float | None) -> _View | None:
    if not isinstance(service, Proxy):
        return None
    remote: RemoteService = service._service
    return _View(remote, make, remote.timeout_s if timeout_s is None else timeout_s)


def _waiting(service: RemoteService, name: str, timeout_s: float) -> Callable[..., Any]:
    peer, endpoint = service.peer, service.endpoint

    def call(*args: Any, **kwargs: Any) -> Any:
        return peer.call(endpoint, name, args, kwargs, timeout_s=timeout_s)

    call.__name__ = name
    return call


def _later(service: RemoteService, name: str, timeout_s: float) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Future[Any]:
        return service.peer.call_later(service.endpoint, name, args, kwargs, timeout_s=timeout_s)

    return call


def _sent(service: RemoteService, name: str, timeout_s: float) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> None:
        service.peer.send(service.endpoint, name, args, kwargs, timeout_s=timeout_s)

    return call


def _at_once(method: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Future[Any]:
    try:
        result = method(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the future has it
        future: Future[Any] = Future()
        future.set_exception(error)
        return future
    if isinstance(result, Future):
        return result
    future = Future()
    future.set_result(result)
    return future


def _unheard(method: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> None:
    try:
        method(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - as from elsewhere, nobody is told
        log.warning("one-way call failed", error=repr(error))
