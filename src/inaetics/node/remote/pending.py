"""The result to be of a call that nobody waits for yet."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from inaetics.node.remote.wire import Reply
from inaetics.override import override


class Broken(Exception):
    """The connection ended while a call was on its way: whether it was carried out is not known."""


class PendingCall(Future[Any]):
    """A call's result to be. Cancelling it tells the provider; callbacks run on a thread of the link."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.deadline = 0.0
        self.give_up: Callable[[int], None] | None = None
        """Told when it is cancelled: its number."""
        self.outcome: Callable[[Reply | Broken | TimeoutError], Any] = lambda outcome: outcome
        """Returns what an answer means, or raises."""

    @override
    def cancel(self) -> bool:
        if not self.cancelled() and super().cancel() and self.give_up is not None:
            self.give_up(self.number)
        return self.cancelled()

    def settle(self, reply: Reply | Broken | TimeoutError) -> None:
        """Once. A future that was cancelled meanwhile stays so."""
        if self.cancelled():
            self.set_running_or_notify_cancel()
            return
        try:
            result = self.outcome(reply)
        except Exception as error:  # noqa: BLE001 - it is what waits for the future that handles it
            self.fail(error)
        else:
            if self.set_running_or_notify_cancel():
                self.set_result(result)

    def fail(self, error: Exception) -> None:
        if self.set_running_or_notify_cancel():
            self.set_exception(error)
