"""Log lines are kept by bundle, and dropped below a level that can be changed while the agent runs."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator

import pytest
import structlog

from inaetics.errors import InvalidInput
from inaetics.node.journal import Journal


@pytest.fixture
def says() -> Iterator[Callable[..., None]]:
    """A function of a bundle's code: it logs with the logger it is given."""
    package, module = types.ModuleType("clock_1_0_0_abc"), types.ModuleType("clock_1_0_0_abc.component")
    package.__dict__["__bundle__"] = "clock"
    exec("def say(log, level, text, **fields): getattr(log, level)(text, **fields)", module.__dict__)
    sys.modules[package.__name__] = package
    yield module.__dict__["say"]
    del sys.modules[package.__name__]


def logger(journal: Journal, out: list[dict[str, object]]) -> structlog.typing.FilteringBoundLogger:
    def keep(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        out.append(dict(event))
        raise structlog.DropEvent

    made: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(None, processors=[journal, keep])
    return made


def test_lines_carry_the_bundle_that_said_them(says: Callable[..., None]) -> None:
    journal, out = Journal(), list[dict[str, object]]()
    log = logger(journal, out)
    says(log, "info", "ticks", hour=3)
    log.info("deployed", version="1")
    assert [event.get("bundle") for event in out] == ["clock", None]
    assert [(line.bundle, line.level, line.text) for line in journal.lines()] == [
        ("clock", "info", "ticks hour=3"),
        ("", "info", "deployed version='1'"),
    ]
    assert [line.text for line in journal.lines(bundle="clock")] == ["ticks hour=3"]


def test_line_about_a_bundle_is_found_with_it() -> None:
    journal = Journal()
    logger(journal, []).info("bundle started", bundle="clock-1.0.0")
    assert [line.text for line in journal.lines(bundle="clock")] == ["bundle started "]


def test_level_is_set_for_all_or_for_one_bundle(says: Callable[..., None]) -> None:
    journal, out = Journal("warning"), list[dict[str, object]]()
    log = logger(journal, out)
    says(log, "info", "ticks")
    journal.set_level("clock", "debug")
    says(log, "debug", "tocks")
    log.info("not wanted")
    log.error("wanted")
    assert [event["event"] for event in out] == ["tocks", "wanted"]
    assert journal.levels == {"": "warning", "clock": "debug"}
    with pytest.raises(InvalidInput, match="'loud' is no level"):
        journal.set_level("", "loud")
