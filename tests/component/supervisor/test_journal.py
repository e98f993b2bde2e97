"""Journals of real units: whole, followable, bounded."""

from __future__ import annotations

import asyncio

import pytest

from inaetics.errors import NotFound
from inaetics.supervisor import journal
from tests.component.supervisor.daemon import WITHIN_S, Daemon, borrowed, service
from tests.support.eventually import aeventually


def test_output_and_the_supervisors_own_lines_are_in_one_journal(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            wait = f"while [ ! -e {it.home}/finish ]; do sleep 0.02; done"
            script = f"echo out; echo err >&2; {wait}; printf unfinished; exit 4"
            await it.start("a.service", service(f"ExecStart=/bin/sh -c '{script}'"))
            await it.said("a.service", "started")
            (it.home / "finish").touch()
            await it.is_over("a.service")
            lines = await it.journal("a.service")
            texts = [line.partition("supervisor: ")[2] or line for line in lines]
            said = "the main process exited with status 4"
            texts.remove("started")  # said once it runs, and it may speak first
            assert texts == ["starting", "out", "err", "unfinished", said, "failed (exit-code)"]
            assert await it.journal("a.service", 2) == lines[-2:]
            assert await it.journal("a.service", 0) == []

    asyncio.run(main())


def test_output_may_go_nowhere(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            text = "StandardOutput=null\nStandardError=journal\nExecStart=/bin/sh -c 'echo out; echo err >&2'"
            await it.start("a.service", service(text))
            await it.is_over("a.service")
            lines = await it.journal("a.service")
            assert "out" not in lines
            assert "err" in lines

    asyncio.run(main())


def test_a_journal_is_followed(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            script = f"echo one; while [ ! -e {it.home}/go ]; do sleep 0.02; done; echo two; sleep 1000"
            await it.start("a.service", service(f"ExecStart=/bin/sh -c '{script}'"))
            await it.said("a.service", "one")
            await it.said("a.service", "started")
            (last,) = await it.journal("a.service", 1)
            seen = []
            async with asyncio.timeout(WITHIN_S):
                async for line in it.client.journal("a.service", lines=1, follow=True):
                    seen.append(line)
                    (it.home / "go").touch()
                    if len(seen) == 2:
                        break
            assert seen == [last, "two"]
            (it.home / "go").unlink()

    asyncio.run(main())


def test_there_is_no_journal_of_an_unknown_unit(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            with pytest.raises(NotFound, match=r"a\.service"):
                await it.journal("a.service")

    asyncio.run(main())


def test_a_journal_is_cut_while_its_unit_writes_and_loses_no_line(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            batches, each = 40, 7_000
            total = batches * each
            line = f"%%.0f-{'x' * 60}"
            loop = f"seq -f {line} $((i*{each}+1)) $((i*{each}+{each})); i=$((i+1)); sleep 0.05"
            text = f"ExecStart=/bin/sh -c 'i=0; while [ $i -lt {batches} ]; do {loop}; done; echo end; sleep 1000'"
            await it.start("a.service", service(text))
            await it.said("a.service", "end")
            path = it.home / "d" / "journal" / "a.service" / "current"

            async def is_small() -> bool:
                return path.stat().st_blocks * 512 <= journal.CUT_ABOVE_BYTES

            await aeventually(is_small, within_s=WITHIN_S, what="the journal takes little space")
            lines = [line for line in await it.journal("a.service", 10**9) if "-x" in line]
            numbers = [int(line.split("-")[0]) for line in lines]
            assert numbers == list(range(numbers[0], total + 1))
            assert len(lines) * 65 > journal.KEEP_BYTES / 2

    asyncio.run(main())
