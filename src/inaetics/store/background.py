"""Work beside a block. Promises: it ends with the block, its failure ends the block, and nothing is left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

from inaetics.tasks import TaskGroup


@asynccontextmanager
async def beside(work: Coroutine[None, None, None], *, name: str) -> AsyncIterator[None]:
    """Run `work` as a task called `name` while the block runs; cancel it and wait for it at the block's end.

    When `work` raises, the block is cancelled and that error is raised from it, bare, as `asyncio.timeout` does.
    An error of the block's own comes first; so does a cancellation from outside. `work` may return early.
    """
    block = asyncio.current_task()
    assert block is not None, "a block of a coroutine runs in a task"
    cancels_before = block.cancelling()
    error: BaseException | None = None
    try:
        async with TaskGroup() as group:
            task = group.create_task(work, name=name)
            yield
            task.cancel()
    except BaseExceptionGroup as failures:
        error = failures.exceptions[-1]  # a TaskGroup puts the block's own error last
    if error is not None:
        # Raised out here, so that the group does not become the error's context.
        raise asyncio.CancelledError if block.cancelling() > cancels_before else error
