"""The cache of what is expensive to make, with several that want the same."""

from __future__ import annotations

import threading
from pathlib import Path

from inaetics.containers.cache import alone


def test_several_that_lack_the_same_make_it_once(tmp_path: Path) -> None:
    made: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def build(name: str) -> None:
        with alone(tmp_path / "cache"):
            if not made:
                begun.set()
                go_on.wait(20)
                made.append(name)

    first = threading.Thread(target=build, args=("first",))
    second = threading.Thread(target=build, args=("second",))
    first.start()
    assert begun.wait(20)
    second.start()
    second.join(0.2)
    assert second.is_alive(), "it waits"
    go_on.set()
    for each in (first, second):
        each.join(20)
    assert made == ["first"]
