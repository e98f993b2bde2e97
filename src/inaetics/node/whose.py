"""Whose code a thread runs. Bundles' packages have names of their own, so stacks tell.

A thread *belongs* to the bundle whose code began it. It *visits* a bundle when it runs that bundle's code somewhere
above code of others: a call in flight.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

_PLUMBING = ("threading", "concurrent.futures", "asyncio", "socketserver", "queue", "multiprocessing", "contextlib")
"""What a thread's stack begins with, whoever began it."""


def stacks() -> dict[int, list[FrameType]]:
    """The frames of every thread, the outermost first."""
    found = {}
    for ident, innermost in sys._current_frames().items():
        frames: list[FrameType] = []
        frame: FrameType | None = innermost
        while frame is not None:
            frames.append(frame)
            frame = frame.f_back
        found[ident] = frames[::-1]
    return found


def package_of(module: object) -> str:
    """The top package of a module's name."""
    return str(module or "").partition(".")[0]


def visitors(package: str) -> list[str]:
    """Names of the threads of others that are inside code of `package` now."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = []
    for ident, frames in stacks().items():
        own = [frame for frame in frames if not _plumbing(frame)]
        if not own or _package(own[0]) == package:
            continue
        if any(_package(frame) == package for frame in own):
            found.append(names.get(ident, str(ident)))
    return sorted(found)


def belongings(packages: Callable[[str], bool]) -> dict[str, list[threading.Thread]]:
    """Living threads that code of a package for which `packages` holds began, by package."""
    found: dict[str, list[threading.Thread]] = {}
    frames = stacks()
    for thread in threading.enumerate():
        package = owner(thread, frames.get(thread.ident or 0, []))
        if packages(package):
            found.setdefault(package, []).append(thread)
    return found


def owner(thread: threading.Thread, frames: Iterable[FrameType]) -> str:
    """The package whose code the thread runs at its outermost, by its stack or by what it was given to run."""
    outermost = next((frame for frame in frames if not _plumbing(frame)), None)
    if outermost is not None:
        return _package(outermost)
    target: Any = getattr(thread, "_target", None)
    return package_of(getattr(target, "__module__", None))


def where(thread: int, *, most: int = 8) -> list[str]:
    """Where a thread is, the innermost frame first, as people read it."""
    frames = stacks().get(thread, [])[::-1]
    return [f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}" for frame in frames[:most]]


def place(thread: int, packages: Iterable[str]) -> str:
    """The innermost place of the thread in code of one of `packages`, else wherever it is; empty when it has ended."""
    frames = stacks().get(thread, [])[::-1]
    wanted = set(packages)
    frame = next((frame for frame in frames if _package(frame) in wanted), frames[0] if frames else None)
    if frame is None:
        return ""
    name = os.path.join(*frame.f_code.co_filename.rsplit("/", 2)[-2:])
    return f"{name}:{frame.f_lineno} {frame.f_code.co_name}"


def _package(frame: FrameType) -> str:
    return package_of(frame.f_globals.get("__name__"))


def _plumbing(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    return name.startswith(_PLUMBING)
