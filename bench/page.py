"""What the demonstrator's page costs a browser, and its readers the viewer: `.venv/bin/python -m bench.page`.

A viewer with 50 made-up agents that report twice a second; headless Chromium without a graphics processor, which is the
dearest way to draw. Processor time of all the browser's processes; then that of the viewer's process, with one reader
and with 200.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from tests.support.browser import chromium, faultless

from bench.baselines import Figure, add_save, finish

AGENTS = 50
READERS = 200
TARGET = 20.0
"""Percent of a core that a browser may use."""
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def _viewer() -> Iterator[tuple[int, str]]:
    """The process and the address of a viewer."""
    command = [sys.executable, "-m", "tests.support.viewer", "--agents", str(AGENTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.pid, process.stdout.readline().strip()
        finally:
            process.terminate()


def _stat(pid: str) -> tuple[int, float] | None:
    """Parent, and processor seconds used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS


def _used(root: int, *, itself: bool) -> float:
    """Processor seconds of the living processes below `root`."""
    known = {int(pid): stat for pid in os.listdir("/proc") if pid.isdigit() and (stat := _stat(pid))}
    family, total = {root}, known[root][1] if itself else 0.0
    for pid, (parent, seconds) in sorted(known.items()):
        if parent in family and pid != root:
            family.add(pid)
            total += seconds
    return total


def _share(root: int, seconds: float, *, itself: bool) -> float:
    """Percent of one core used in so many seconds."""
    before, since = _used(root, itself=itself), time.monotonic()
    time.sleep(seconds)
    return (_used(root, itself=itself) - before) / (time.monotonic() - since) * 100


def _browser(url: str, seconds: float) -> Iterator[tuple[str, float]]:
    with chromium() as browser, faultless(browser) as page:
        page.goto(url)
        driver = os.getpid()
        for where, selector in (("its top in view", "header"), ("graphs in view", "#graphs")):
            page.locator(selector).evaluate("node => node.scrollIntoView()")
            page.wait_for_timeout(4000)
            yield where, _share(driver, seconds, itself=False)


@contextmanager
def _readers(url: str, count: int) -> Iterator[None]:
    """Event streams that are read as they come."""
    where = urlsplit(url)
    with ExitStack() as stack:
        for _ in range(count):
            reader = stack.enter_context(socket.create_connection((where.hostname or "", where.port or 80)))
            reader.sendall(f"GET /events HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
            Thread(target=_drain, args=(reader,), daemon=True).start()
        time.sleep(3)
        yield


def _drain(reader: socket.socket) -> None:
    try:
        while reader.recv(65536):
            pass
    except OSError:
        return


def _memory(pid: int) -> float:
    """Resident, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    """Measure and print; returns 1 when a target was missed or something became worse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="for each figure of a run")
    add_save(parser)
    given = parser.parse_args()
    browser, viewer, memory = defaultdict[str, list[float]](list), defaultdict[int, list[float]](list), []
    for _ in range(given.runs):
        with _viewer() as (process, url):
            for where, share in _browser(url, given.seconds):
                browser[where].append(share)
            for count in (1, READERS):
                with _readers(url, count):
                    viewer[count].append(_share(process, given.seconds, itself=True))
            memory.append(_memory(process))
    what = f"{AGENTS} agents, 2 readings a second: "
    figures = [
        *(
            Figure(what=f"{what}the browser, {where}", samples=each, measure="% of a core", target=TARGET)
            for where, each in browser.items()
        ),
        *(
            Figure(what=f"{what}the viewer with {count} open pages", samples=each, measure="% of a core")
            for count, each in viewer.items()
        ),
        Figure(what=f"{what}the viewer's memory with {READERS}", samples=memory, measure="MB"),
    ]
    return finish("page", figures, keep=given.save)


if __name__ == "__main__":
    sys.exit(main())
