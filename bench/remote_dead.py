"""How soon callers know that the process they call has died: `python -m bench.remote_dead [--runs N]`.

Another process carries out calls of ours (`bench.remote`'s provider) and is killed with -9 in the middle of them: one
thread waits for an answer, and eight more calls are in flight as futures. The kernel frees the dead process's memory
first and closes its files then. When it does, is seen by a witness: a third process that only waits for the end of a
pipe which the dead one had open, and that nobody keeps waiting (real-time priority, where that is allowed). What lies
between that and a caller's error is what we and waking the caller take, less what waking the witness took. The callers
have no priority, so on a machine that is not quiet they also wait for their turn.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.machine import describe, table
from bench.remote import certificates, remote_samples
from inaetics.node.remote.errors import Unreachable
from inaetics.node.remote.proxies import asynchronous

RUNS = 20
IN_FLIGHT = 8
HELD_S = 60.0
SETTLE_S = 0.3
BUDGET_MS = 1.0

_WITNESS = """
import os, time
try:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
except PermissionError:
    pass
os.read(0, 1)
print(time.monotonic_ns())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """One death, in ms: from the kill to the kernel's close, and from that to the callers' errors."""

    kernel: float
    waiting: float
    """Until the thread that waited for an answer had its error."""
    last: float
    """Until the last of the calls in flight had it."""
    next: float
    """How long the next call took until it failed: made by the thread that waited, right after its error."""


def death(tls: Path | None) -> Death:
    """Let a process die while it carries out calls."""
    ours, theirs = os.pipe()
    witness = subprocess.Popen([sys.executable, "-S", "-c", _WITNESS], stdin=ours, stdout=subprocess.PIPE, text=True)
    os.close(ours)
    failed: list[int] = []
    with remote_samples(tls, keep=(theirs,)) as (service, provider):
        os.close(theirs)  # only the provider has it now
        service.put(())
        pending: list[Future[Any]] = [asynchronous(service).hold(HELD_S) for _ in range(IN_FLIGHT)]
        ends: list[int] = []
        for future in pending:
            future.add_done_callback(lambda _: ends.append(time.monotonic_ns()))
        waiting = threading.Thread(target=_call_twice, args=(service, failed))
        waiting.start()
        time.sleep(SETTLE_S)  # all of them are over there, and everybody sleeps
        killed = time.monotonic_ns()
        os.kill(provider, signal.SIGKILL)
        waiting.join()
        for future in pending:
            assert isinstance(future.exception(), Unreachable)
        closed = int(witness.communicate(timeout=10)[0])
    return Death(
        kernel=(closed - killed) / 1e6,
        waiting=(failed[0] - closed) / 1e6,
        last=(max(ends) - closed) / 1e6,
        next=(failed[1] - failed[0]) / 1e6,
    )


def _call_twice(service: Any, failed: list[int]) -> None:
    for _ in range(2):
        try:
            service.hold(HELD_S)
        except Unreachable:
            failed.append(time.monotonic_ns())


def rows(name: str, deaths: Sequence[Death]) -> list[tuple[str, ...]]:
    return [
        row(name, "from the kill to the kernel's close of its files", [each.kernel for each in deaths], ""),
        row(name, "from then to the error of a thread that waits", [each.waiting for each in deaths], BUDGET_MS),
        row(name, f"the same, last of {IN_FLIGHT} calls in flight", [each.last for each in deaths], BUDGET_MS),
        row(name, "the next call, until it fails", [each.next for each in deaths], BUDGET_MS),
    ]


def row(name: str, what: str, measured: Sequence[float], budget: float | str) -> tuple[str, ...]:
    spread = f"{statistics.median(measured):.2f} ms ({min(measured):.2f}-{max(measured):.2f})"
    return (name, what, spread, f"{budget:g} ms" if isinstance(budget, float) else budget)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    print(describe(), end="\n\n")
    with tempfile.TemporaryDirectory() as directory:
        measured = rows("TCP", [death(None) for _ in range(runs)])
        tls = certificates(Path(directory))
        measured += rows("mutual TLS", [death(tls) for _ in range(runs)])
    print(table(("connection", "what", "median (lowest-highest)", "to reach"), measured))


if __name__ == "__main__":
    main()
