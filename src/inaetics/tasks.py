"""`TaskGroup` as Python 3.13 has it: a group that fails takes back the cancellation it made itself.

A group cancels its own task when one of its tasks fails. Before 3.13 that stayed in the task's count where the task was
already waiting for the group's end: from then on `cancelling()` told of somebody who wants the task to end, and work
that was only to be tried again ended for good.
"""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType

from inaetics.override import override

if sys.version_info >= (3, 13):
    TaskGroup = asyncio.TaskGroup
else:

    class TaskGroup(asyncio.TaskGroup):
        """See `asyncio.TaskGroup`."""

        _parent_task: asyncio.Task[object]
        _parent_cancel_requested: bool

        @override
        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            taken_back = self._parent_cancel_requested  # by the group itself, as its first step
            try:
                await super().__aexit__(kind, error, trace)
            finally:
                if self._parent_cancel_requested and not taken_back:
                    self._parent_task.uncancel()


__all__ = ["TaskGroup"]
