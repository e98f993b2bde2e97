from __future__ import annotations

import asyncio

import pytest

from inaetics.store.background import beside
from inaetics.tasks import TaskGroup


async def _for_ever(ended: list[str]) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        ended.append("ended")


async def _fail() -> None:
    raise LookupError("in the background")


def test_the_work_ends_with_the_block() -> None:
    async def main() -> None:
        ended: list[str] = []
        async with beside(_for_ever(ended), name="work"):
            await asyncio.sleep(0)
        assert ended == ["ended"]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_work_may_return_before_the_block_ends() -> None:
    async def main() -> None:
        async with beside(asyncio.sleep(0), name="work"):
            await asyncio.sleep(0.01)

    asyncio.run(main())


def test_an_error_of_the_work_cancels_the_block_and_comes_out_bare() -> None:
    async def main() -> None:
        with pytest.raises(LookupError, match="in the background") as raised:
            async with beside(_fail(), name="work"):
                await asyncio.sleep(60)
        assert not isinstance(raised.value.__context__, BaseExceptionGroup)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    asyncio.run(main())


def test_the_blocks_own_error_comes_first_and_bare() -> None:
    async def block() -> int:
        await asyncio.sleep(0)
        return 1 // 0

    async def main() -> None:
        ended: list[str] = []
        with pytest.raises(ZeroDivisionError):
            async with beside(_for_ever(ended), name="work"):
                await block()
        assert ended == ["ended"]

    asyncio.run(main())


def test_the_blocks_error_on_being_cancelled_comes_first() -> None:
    async def block() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("in the clean-up")

    async def main() -> None:
        with pytest.raises(ValueError, match="in the clean-up"):
            async with beside(_fail(), name="work"):
                await block()

    asyncio.run(main())


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancellation_from_outside_is_never_lost(fails: bool) -> None:
    """Even when the work fails at the same moment."""

    async def work(go: asyncio.Event) -> None:
        await go.wait()
        if fails:
            raise LookupError

    async def block(go: asyncio.Event) -> None:
        async with beside(work(go), name="work"):
            await asyncio.sleep(60)

    async def main() -> None:
        go = asyncio.Event()
        task = asyncio.get_running_loop().create_task(block(go))
        await asyncio.sleep(0.01)
        go.set()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


async def _fail_when_cancelled() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise LookupError("on its way out") from None


async def _group_fails_as_it_ends() -> None:
    async with beside(_for_ever([]), name="work"), TaskGroup() as group:
        task = group.create_task(_fail_when_cancelled())
        await asyncio.sleep(0)
        task.cancel()


def test_a_group_in_the_block_that_fails_while_it_ends_is_no_cancellation() -> None:
    """Python before 3.13 leaves it in the task's count, where it looks as if somebody wanted the task to end."""

    async def main() -> None:
        with pytest.raises(BaseExceptionGroup) as raised:
            await _group_fails_as_it_ends()
        assert raised.group_contains(LookupError)
        mine = asyncio.current_task()
        assert mine is not None
        assert not mine.cancelling()

    asyncio.run(main())


def test_a_cancellation_from_outside_comes_before_what_fails_meanwhile() -> None:
    async def main() -> None:
        task = asyncio.create_task(_group_fails_as_it_ends())  # noqa: TID251 - cancelled and awaited here
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
