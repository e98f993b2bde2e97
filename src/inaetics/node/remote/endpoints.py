"""What is exported: which methods others may call, and which calls of them are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pelix.utilities import get_remote_method

from inaetics.node.remote.calls import CurrentCall, current_call
from inaetics.node.remote.wire import NO_ENDPOINT, NO_METHOD

SLOW_S = 0.001
"""A method that once took so long is carried out by another thread than the one that reads the connection."""
QUICK_RUNS = 16
"""After so many quick ones in a row it is quick again."""


class Refused(Exception):
    """A call that nobody here takes; `reason` as in `wire`."""

    def __init__(self, reason: int, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Method:
    """A method that others may call, and whether it is worth a thread of its own."""

    __slots__ = ("_quick_runs", "call", "quick")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.quick = True
        self._quick_runs = 0

    def took(self, seconds: float) -> None:
        if seconds >= SLOW_S:
            self.quick, self._quick_runs = False, 0
        elif not self.quick:
            self._quick_runs += 1
            self.quick = self._quick_runs >= QUICK_RUNS


class Endpoint:
    """One exported service; `package` is the top package of its class, which is a bundle's own."""

    def __init__(self, service: Any) -> None:
        self._service = service
        self.package = type(service).__module__.partition(".")[0]
        self._methods: dict[str, Method] = {}
        self._under_way: dict[CurrentCall, None] = {}
        self._withdrawn = False
        self._ended = threading.Event()
        self.calls = 0
        """That were carried out, or are; one addition each, which the interpreter does not split."""
        self.raised = 0

    def method(self, name: str) -> Method:
        """Raises `Refused`."""
        found = self._methods.get(name)
        if found is None:
            method = get_remote_method(self._service, name)
            if method is None:
                raise Refused(NO_METHOD, f"the service has no method {name}")
            found = self._methods[name] = Method(method)
        return found

    def begin(self, call: CurrentCall) -> None:
        """A call is carried out from now to `end`. Raises `Refused` when it came too late."""
        self._under_way[call] = None
        if self._withdrawn:
            self.end(call)
            raise Refused(NO_ENDPOINT, "the service was withdrawn")
        self.calls += 1

    def end(self, call: CurrentCall) -> None:
        self._under_way.pop(call, None)
        if self._withdrawn:
            self._ended.set()

    @property
    def under_way(self) -> list[CurrentCall]:
        """The calls that are carried out now, also those whose future is not done, but for this thread's own."""
        mine = current_call()
        return [call for call in list(self._under_way) if call is not mine]

    def withdraw(self, within_s: float) -> bool:
        """Take no more calls, and wait for those under way; returns whether they ended in time.

        A call that withdraws its own service is not waited for.
        """
        self._withdrawn = True
        end = time.monotonic() + within_s
        while self.under_way:
            if not self._ended.wait(max(end - time.monotonic(), 0)):
                return False
            self._ended.clear()
        return True


class Endpoints:
    """All that one framework exports, by id. Safe from any thread.

    `heir` names the endpoint that answers for one that was withdrawn, if there is one.
    """

    def __init__(self, heir: Callable[[str], str | None] = lambda name: None) -> None:
        self._endpoints: dict[str, Endpoint] = {}
        self._leaving: list[Endpoint] = []
        """Withdrawn with calls under way."""
        self._past = (0, 0)
        self._heir = heir

    def add(self, name: str, service: Any) -> None:
        self._endpoints[name] = Endpoint(service)

    def package(self, name: str) -> str:
        """Whose service it is, see `Endpoint`; empty for an unknown one."""
        endpoint = self._endpoints.get(name)
        return endpoint.package if endpoint is not None else ""

    def withdraw(self, name: str, within_s: float) -> bool:
        """As `Endpoint.withdraw`; for an unknown one there is nothing to wait for."""
        endpoint = self._endpoints.pop(name, None)
        if endpoint is None:
            return True
        self._leaving.append(endpoint)
        ended = endpoint.withdraw(within_s)
        for each in list(self._leaving):
            if not each.under_way:
                with suppress(ValueError):  # another thread did it
                    self._leaving.remove(each)
        self._past = (self._past[0] + endpoint.calls, self._past[1] + endpoint.raised)
        return ended

    @property
    def counts(self) -> tuple[int, int]:
        """Calls that were carried out since the start, and how many of them raised."""
        there = list(self._endpoints.values())
        return self._past[0] + sum(e.calls for e in there), self._past[1] + sum(e.raised for e in there)

    def inside(self, package: str) -> list[str]:
        """Whose calls services of `package` carry out, those that were withdrawn too.

        A call whose service returned a future holds no thread: that it is under way is known here alone.
        """
        found = [each for each in (*self._endpoints.copy().values(), *self._leaving) if each.package == package]
        return [f"call of {call.caller}" for endpoint in found for call in endpoint.under_way]

    def has(self, name: str) -> bool:
        """Whether it is exported itself; so is the empty name, which only asks whether somebody is there."""
        return not name or name in self._endpoints

    def find(self, name: str) -> Endpoint:
        """Raises `Refused`."""
        found = self._endpoints.get(name)
        if found is None:
            found = self._endpoints.get(self._heir(name) or "")
        if found is None:
            raise Refused(NO_ENDPOINT, f"no service {name} is exported here")
        return found
