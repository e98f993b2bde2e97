"""What people do on the page: POST with JSON and the cluster's token.

A page elsewhere cannot do it: it has no token, a browser sends JSON across origins only where it was allowed (it is
not), and an `Origin` that is there has to be this page's. The control hosts' proxy sends none; it has checked its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from pelix.http import AbstractHTTPServletRequest

from inaetics.demonstrator.api import MODES, Coordinator, Scaling
from inaetics.demonstrator.settings import one_of, within
from inaetics.errors import Conflict, Forbidden, InvalidInput, Unavailable

from .answers import Answer, TooLarge, WrongKind, failure, json, refusal
from .asking import Asker, UnderWay
from .frames import named
from .knobs import COST, MODE, UTILISATION, Knobs
from .permits import Permits
from .watch import Services, Watch

MOST_BYTES = 4096
MOST_READ = 1024 * 1024
"""Of a body that is too large, so that whoever sends it hears the answer."""

MOST_COST_US = 10_000
PERMIT_WITHIN_S = 5.0
SCALE_WITHIN_S = 10.0
KILL_WITHIN_S = 20.0
"""Below the patience of browsers and of the control hosts' proxy with this page. Starting a host may take a minute."""


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    pass


class _Utilisation(_Body):
    utilisation: Any


class _Cost(_Body):
    us: Any


class _Mode(_Body):
    mode: Any


class _Count(_Body):
    count: int | None = None
    change: int | None = None


class _On(_Body):
    on: bool


class _Host(_Body):
    host: str


class _Token(_Body):
    pass


B = TypeVar("B", bound=_Body)


class _Later(Exception):
    """What was asked for is under way; no failure, and not yet done."""


class Controls:
    """Answers POST. Nothing here waits for ever for anybody."""

    def __init__(self, watch: Watch, services: Callable[[], Services], asker: Asker, knobs: Knobs) -> None:
        self._watch = watch
        self._services = services
        self._asker = asker
        self._knobs = knobs
        self._permits = Permits()
        self._scaling = threading.Lock()
        self._actions: dict[str, Callable[[bytes, str], Any]] = {
            "/utilisation": self._set_utilisation,
            "/cost": self._set_cost,
            "/mode": self._set_mode,
            "/scaleProducer": lambda body, token: self._scale("producers", body, token),
            "/scaleProcessor": lambda body, token: self._scale("processors", body, token),
            "/automatic": self._set_automatic,
            "/kill": lambda body, token: self._power("kill", body, token),
            "/start": lambda body, token: self._power("start", body, token),
            "/token": lambda body, _token: msgspec.to_builtins(_read(body, _Token)),
        }

    @property
    def paths(self) -> set[str]:
        return set(self._actions)

    def answer(self, request: AbstractHTTPServletRequest) -> Answer:
        """Do what a POST asks for, or say why not."""
        try:
            body = read_body(request)
        except InvalidInput as error:
            return refusal(error)
        origin = request.get_header("Origin")
        if origin is not None and origin.partition("://")[2] != request.get_header("Host"):
            return failure(403, f"cannot take orders from a page of {origin}: this page's own controls are for that")
        try:
            token = _token(request)
            self._permit(token)
            return json(self._actions[request.get_path()](body, token))
        except _Later as later:
            return json({"under_way": str(later)}, status=202)
        except (InvalidInput, Forbidden, Conflict, Unavailable) as error:
            return refusal(error)

    def _permit(self, token: str) -> None:
        if not self._permits.knows(token, now_s=time.monotonic()):
            coordinator = self._coordinator()
            self._asker.within(PERMIT_WITHIN_S, "check the token", lambda: coordinator.permit(token))
            self._permits.note(token, now_s=time.monotonic())

    def _coordinator(self) -> Coordinator:
        coordinator = self._services().coordinator
        if coordinator is None:
            raise Unavailable("there is no coordinator in this agent just now, and only it can tell who may do this")
        return coordinator

    def _set_utilisation(self, body: bytes, _token: str) -> Any:
        percent = within(_read(body, _Utilisation).utilisation, 100, "a utilisation", "%")
        silent = self._knobs.set(UTILISATION, percent)
        return {**self._watch.utilisation(), "percent": percent, "silent": silent}

    def _set_cost(self, body: bytes, _token: str) -> Any:
        cost = within(_read(body, _Cost).us, MOST_COST_US, "a cost", "µs")
        silent = self._knobs.set(COST, cost)
        return {**self._watch.utilisation(), "cost_us": cost, "silent": silent}

    def _set_mode(self, body: bytes, _token: str) -> Any:
        mode = one_of(_read(body, _Mode).mode, MODES, "a mode")
        silent = self._knobs.set(MODE, mode)
        return {**self._watch.utilisation(), "mode": mode, "silent": silent}

    def _scale(self, kind: str, body: bytes, token: str) -> Any:
        wish = _read(body, _Count)
        if (wish.count is None) == (wish.change is None):
            raise InvalidInput(f'cannot scale {kind}: say {{"count": N}} or {{"change": N}}')
        coordinator = self._coordinator()

        def scale() -> Scaling:
            with self._scaling:  # two who press + at once get two more
                count = wish.count if wish.count is not None else _wanted(coordinator, kind) + (wish.change or 0)
                return coordinator.scale(kind, count, token=token)

        return self._scaled(self._asker.within(SCALE_WITHIN_S, f"scale {kind}", scale))

    def _set_automatic(self, body: bytes, token: str) -> Any:
        on = _read(body, _On).on
        coordinator = self._coordinator()
        doing = f"switch automatic scaling {'on' if on else 'off'}"
        return self._scaled(
            self._asker.within(SCALE_WITHIN_S, doing, lambda: coordinator.set_automatic(on, token=token))
        )

    def _scaled(self, answer: Scaling) -> Any:
        scaling = msgspec.convert(answer, Scaling)
        self._watch.scaled(scaling)
        return named(scaling)

    def _power(self, action: str, body: bytes, token: str) -> Any:
        host = _read(body, _Host).host
        info, cluster = self._services().cluster_info, self._watch.cluster()
        if info is None or cluster is None:
            raise Unavailable(f"cannot {action} {host!r}: nothing is known of the cluster just now")
        if not cluster.local:
            raise Conflict(f"cannot {action} {host!r}: the hosts of this cluster are machines of their own")
        names = sorted(each.name for each in cluster.hosts)
        if host not in names:
            raise InvalidInput(f"cannot {action} {host!r}: there is no such host (there are: {', '.join(names)})")
        turn = info.kill if action == "kill" else info.start
        try:
            self._asker.within(KILL_WITHIN_S, f"{action} {host}", lambda: turn(host, token=token))
        except UnderWay as error:
            raise _Later(
                f"to {action} {host} takes longer than usual: the cluster's map shows when it is done"
            ) from error
        return named(self._watch.cluster())


def read_body(request: AbstractHTTPServletRequest) -> bytes:
    """The body of a request. Raises `InvalidInput`, `TooLarge`, `WrongKind`."""
    length = str(request.get_header("Content-Length", ""))
    if not (length.isascii() and length.isdigit()):
        raise InvalidInput("a body of known length is needed (Content-Length)")
    if int(length) > MOST_BYTES:
        request.get_rfile().read(min(int(length), MOST_READ))
        raise TooLarge(f"a body of {length} bytes is more than anything here needs ({MOST_BYTES})")
    body = request.get_rfile().read(int(length))
    if str(request.get_header("Content-Type", "")).partition(";")[0].strip().lower() != "application/json":
        raise WrongKind("the body has to be JSON (Content-Type: application/json)")
    return body


def _token(request: AbstractHTTPServletRequest) -> str:
    scheme, _, token = str(request.get_header("Authorization", "")).partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Forbidden("this needs the cluster's token: Authorization: Bearer TOKEN (its owner has it in pki/token)")
    return token.strip()


def _read(body: bytes, kind: type[B]) -> B:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"cannot understand the body: {error}") from error


def _wanted(coordinator: Coordinator, kind: str) -> int:
    sets = msgspec.convert(coordinator.scaling(), Scaling).sets
    found = [each.wanted for each in sets if each.kind == kind]
    if not found:
        raise Unavailable(f"cannot scale {kind}: the coordinator does not know how many there are yet")
    return found[0]
