"""Waiting for what happens by itself: poll until a check holds, and show the last thing seen when it never does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_S = 0.05


def eventually(check: Callable[[], T], *, within_s: float, what: str) -> T:
    """Call `check` until it returns something true, and return that.

    An AssertionError or OSError from `check` counts as "not yet". Fails with `what` and the last outcome.
    """
    end = time.monotonic() + within_s
    while True:
        seen = _attempt(check)
        if seen and not isinstance(seen, Exception):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s: {what}; last seen: {seen!r}")
        time.sleep(_PAUSE_S)


async def aeventually(check: Callable[[], Awaitable[T]], *, within_s: float, what: str) -> T:
    """As `eventually`, for a coroutine function."""
    end = time.monotonic() + within_s
    while True:
        seen: T | Exception
        try:
            seen = await check()
        except (AssertionError, OSError) as error:
            seen = error
        if seen and not isinstance(seen, Exception):
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s} s: {what}; last seen: {seen!r}")
        await asyncio.sleep(_PAUSE_S)


def _attempt(check: Callable[[], T]) -> T | Exception:
    try:
        return check()
    except (AssertionError, OSError) as error:
        return error
