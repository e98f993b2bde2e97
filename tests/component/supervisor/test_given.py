"""What a command is given: variables, files, limits, an account."""

from __future__ import annotations

import asyncio
import os

from inaetics.supervisor import procfs
from tests.component.supervisor.daemon import OPEN_FILES, Daemon, borrowed, service


def test_the_environment_of_a_command(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            file = it.home / "more"
            file.write_text("FROM_FILE='a b'\nUNIT=file\n")
            text = service(
                f'Environment=UNIT=unit SHARED=unit "QUOTED=x y"\nEnvironmentFile={file}\nType=oneshot\n'
                "ExecStart=/usr/bin/env\nExecStart=/bin/echo words: ${QUOTED} $FROM_FILE %i %m %H\n"
                "ExecStart=@/bin/sh othername -c 'echo name $$0; pwd; umask; ulimit -n'\nLimitNOFILE=77\nUMask=0027"
            )
            await it.start("a@9.service", text)
            await it.is_over("a@9.service")
            lines = await it.journal("a@9.service")
            for line in ("UNIT=file", "SHARED=unit", "FROM_FILE=a b", f"INAETICS_SUPERVISED={it.identity}"):
                assert line in lines
            assert "words: x y a b 9 0123 worker-1" in lines
            assert [line for line in lines if line in ("/", "0027", "77")] == ["/", "0027", "77"]
            assert any(line.startswith(f"{procfs.MARKER}=a@9.service@") for line in lines)
            assert any(line.startswith("INVOCATION_ID=") and len(line) == 14 + 32 for line in lines)

    asyncio.run(main())


def test_a_unit_has_the_limit_of_open_files_that_the_daemon_came_with(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            await it.start("a.service", service("Type=oneshot\nExecStart=/bin/sh -c 'ulimit -Sn'"))
            await it.is_over("a.service")
            assert str(OPEN_FILES) in await it.journal("a.service")

    asyncio.run(main())


def test_an_environment_file_written_by_an_earlier_command_is_read_by_the_next(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            file = it.home / "made"
            text = f"Type=oneshot\nEnvironmentFile=-{file}\nExecStartPre=/bin/sh -c 'echo A=1 > {file}'\n"
            text += "ExecStart=/bin/echo got ${A}"
            await it.start("a.service", service(text))
            await it.said("a.service", "got 1")

    asyncio.run(main())


def test_user_changes_who_it_is_which_only_root_can(host: Daemon) -> None:
    async def main() -> None:
        async with borrowed(host) as it:
            text = "Type=oneshot\nUser=daemon\nExecStart=/usr/bin/id -un\nExecStart=/bin/echo home ${HOME}"
            await it.start("a.service", service(text))
            over = await it.is_over("a.service")
            if os.getuid() == 0:
                lines = await it.journal("a.service")
                assert "daemon" in lines
                assert "home /usr/sbin" in lines
            else:
                assert "does not run as root" in (over.message or "")

    asyncio.run(main())
