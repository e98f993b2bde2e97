"""`docs/tutorial/first-application.md` as far as it needs no cluster; `tests/system` follows all of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.tutorial import Run, See, Write, follow, steps

TUTORIAL = Path(__file__).parents[3] / "docs" / "tutorial" / "first-application.md"
ON_THE_CLUSTER = "4. Agents for it"


def test_tutorial_is_right_up_to_the_cluster(tmp_path: Path) -> None:
    todo = steps(TUTORIAL.read_text(), until=ON_THE_CLUSTER)
    assert len(todo) == 9, "every block was understood"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    without = "-p no:schemathesis"  # a tool of our own tests that takes a second to load
    follow(todo, tmp_path, {"PATH": path, "PYTEST_ADDOPTS": without}, within_s=1)
    assert (tmp_path / "hello" / "caller" / "component.py").exists()


def test_steps_are_read_as_they_stand() -> None:
    run, file, see = "```sh\ncd x\nls\n```\n", "`a/b.py`:\n\n```python\nx = 1\n\ny\n```\n", "```text\none\n two\n```\n"
    text = f"# A\n\n{run}\n{file}\n{see}\n## 2. B\n\n```sh\nno\n```\n"
    assert steps(text, until="2. B") == [
        Run(commands="cd x\nls\n"),
        Write(path="a/b.py", text="x = 1\n\ny\n"),
        See(lines=("one", "two")),
    ]


def test_what_does_not_appear_or_work_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="echo one shows"):
        follow([Run(commands="echo one"), See(lines=("two",))], tmp_path, {}, within_s=0)
    with pytest.raises(AssertionError, match="true\n→ 1"):
        follow([Run(commands="false\ntrue")], tmp_path, {})
