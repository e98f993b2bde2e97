"""The few Linux calls that Python 3.11 does not offer, through ctypes or files. Each raises OSError as `os` would."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_TIMERSLACK = 29
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2

_TFD_TIMER_ABSTIME = 1
_TIMER = struct.Struct("@qqqq")

IN_MODIFY = 0x2
IN_ONESHOT = 0x80000000
_INOTIFY_HEADER = struct.Struct("iIII")


def become_subreaper() -> None:
    """Make orphaned descendants children of this process, so that it can see them end."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def no_new_privileges() -> None:
    """Give up gaining rights by running programs, for this process and its children."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def timer_slack(nanoseconds: int) -> None:
    """Set by how much this process's timers may be late."""
    _check(_libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(nanoseconds), 0, 0, 0))


def io_priority(io_class: int, level: int) -> None:
    """Set the class (1 realtime, 2 best effort, 3 idle) and level (0 to 7) of this process's input and output."""
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    _check(_libc.syscall(number, 1, 0, io_class << 13 | (level if io_class in (1, 2) else 0)))


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Give the disk space of a range back; the file's size and all other content stay as they are."""
    _check(_libc.fallocate(fd, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length))


def write(path: str, text: str) -> None:
    """Tell the kernel something by a file of its own, in one call, as it wants it. Raises `OSError`."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def inotify_open() -> int:
    """Return a new inotify file descriptor, non-blocking and not inherited."""
    return _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add(fd: int, path: bytes, mask: int) -> int:
    """Watch `path`; return the watch's number, the same one when the file is watched already."""
    return _check(_libc.inotify_add_watch(fd, path, mask))


def inotify_remove(fd: int, watch: int) -> None:
    """Forget a watch. One that is gone already, because it came or its file went, is no error."""
    try:
        _check(_libc.inotify_rm_watch(fd, watch))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def boottime_timer() -> int:
    """Return a new timer's file descriptor, readable once its time has come, on the clock that runs through suspend."""
    return _check(_libc.timerfd_create(time.CLOCK_BOOTTIME, os.O_NONBLOCK | os.O_CLOEXEC))


def set_timer(fd: int, at: float) -> None:
    """Have the timer come at `at`, a reading of CLOCK_BOOTTIME, once; what it was set to before is forgotten."""
    seconds = max(int(at), 0)
    nanoseconds = max(int((at - seconds) * 1e9), 1)  # all zero would stop it
    _check(_libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, _TIMER.pack(0, 0, seconds, nanoseconds), None))


@dataclass(frozen=True, slots=True)
class InotifyEvent:
    """Something happened to the file of `watch`."""

    watch: int
    mask: int


def inotify_read(fd: int) -> Iterator[InotifyEvent]:
    """Yield what is to be read now, maybe nothing."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return
    at = 0
    while at < len(data):
        watch, mask, _cookie, length = _INOTIFY_HEADER.unpack_from(data, at)
        at += _INOTIFY_HEADER.size + length
        yield InotifyEvent(watch, mask)


def _check(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
