"""How every daemon of the project logs: structlog, one event a line on standard error.

On a terminal for people, else one JSON object a line. An event's text is fixed; what varies goes into fields
(`unit`, `machine`, `revision`). Library records (the standard library's `logging`) come out the same way.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TextIO

import structlog
from structlog.typing import Processor

from inaetics.override import override
from inaetics.terminal import colours


def configure_logs(*, level: str | None = None, stream: TextIO | None = None, first: Sequence[Processor] = ()) -> None:
    """Set up structlog and `logging` for this process. Call once, first thing in a daemon's main.

    `level` ("debug", "info", "warning", "error") beats the variable INAETICS_LOG_LEVEL, which beats "info".
    `stream` is standard error unless given. An unknown level counts as "info". `first` are processors that see every
    event before the others, and may drop it.
    """
    out = stream if stream is not None else sys.stderr
    wanted = (level or os.environ.get("INAETICS_LOG_LEVEL", "info")).upper()
    number = logging.getLevelNamesMapping().get(wanted, logging.INFO)
    structlog.configure(
        processors=[*first, *_common(), *(_for_people() if out.isatty() else _for_machines())],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToStructlog()], level=max(number, logging.WARNING), force=True)


def _common() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _for_people() -> list[Processor]:
    return [structlog.dev.ConsoleRenderer(colors=colours(), exception_formatter=structlog.dev.plain_traceback)]


def _for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


class _ToStructlog(logging.Handler):
    """Hands the records of libraries that use `logging` to structlog."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(
            record.levelno, "library message", logger=record.name, text=record.getMessage(), exc_info=record.exc_info
        )
