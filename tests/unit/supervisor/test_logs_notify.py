"""The two small things every daemon uses: logs on standard error, and telling its supervisor that it is ready."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from inaetics.logs import configure_logs
from inaetics.notify import notify


@pytest.fixture(autouse=True)
def _clean_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


def test_a_line_is_json_when_nobody_watches() -> None:
    out = io.StringIO()
    configure_logs(stream=out)
    structlog.get_logger().info("unit started", unit="felix@1.service")
    line = json.loads(out.getvalue())
    assert (line["event"], line["unit"], line["level"]) == ("unit started", "felix@1.service", "info")


def test_libraries_speak_through_the_same_channel() -> None:
    out = io.StringIO()
    configure_logs(stream=out)
    logging.getLogger("some.library").error("broken %s", "pipe")
    line = json.loads(out.getvalue())
    assert (line["logger"], line["text"], line["level"]) == ("some.library", "broken pipe", "error")


@pytest.mark.parametrize(("level", "seen"), [("debug", True), ("info", False), ("no such level", False)])
def test_the_level_is_obeyed_and_an_unknown_one_is_info(level: str, seen: bool) -> None:
    out = io.StringIO()
    configure_logs(level=level, stream=out)
    structlog.get_logger().debug("tick")
    assert bool(out.getvalue()) is seen


def test_notify_sends_one_message_with_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        assert notify("READY=1", "STATUS=serving")
        assert receiver.recv(4096) == b"READY=1\nSTATUS=serving"


def test_notify_without_a_supervisor_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setattr("inaetics.notify._AWAY_S", 0.1)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")


def test_notify_waits_for_a_supervisor_that_is_being_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as back,
    ):
        gone.bind(str(path))
        gone.close()

        def return_(_seconds: float) -> None:
            path.unlink()
            back.bind(str(path))

        monkeypatch.setattr("inaetics.notify.time.sleep", return_)
        assert notify("READY=1")
        assert back.recv(100) == b"READY=1"
