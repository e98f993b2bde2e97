"""The agent's own commands in Pelix's shell, beside those that Pelix brings (``help`` lists all of them).

Pelix has bundles and services (``bl``, ``sl``, ``bd``, ``sd``), components (``instances``), threads (``threads``),
framework properties (``properties``), configurations (``config.list``, ``config.update``) and remote services
(``listexports``, ``listimports``). What is ours: ``agent.status``, ``agent.logs``, ``agent.level``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from inaetics.errors import InvalidInput
from inaetics.node.health import Doctor
from inaetics.node.journal import Journal


class ShellCommands:
    """A service of Pelix's shell."""

    def __init__(self, doctor: Doctor, journal: Journal) -> None:
        self._doctor = doctor
        self._journal = journal

    def get_namespace(self) -> str:
        return "agent"

    def get_methods(self) -> list[tuple[str, Callable[..., None]]]:
        return [("status", self.status), ("logs", self.logs), ("level", self.level)]

    def status(self, session: Any) -> None:
        """Prints how the agent is: deployment, bundles, what hangs and what was left behind"""
        for name, value in msgspec.to_builtins(self._doctor.look()).items():
            session.write_line("{0:16} {1}", name, value if value not in ("", [], {}, ()) else "-")

    def logs(self, session: Any, bundle: str = "", count: int = 50) -> None:
        """
        Prints the last log lines, of one bundle or of all: agent.logs [BUNDLE [COUNT]]
        """
        if bundle.isdigit():
            bundle, count = "", int(bundle)
        for line in self._journal.lines(bundle=bundle, most=int(count)):
            at = time.strftime("%H:%M:%S", time.localtime(line.at))
            session.write_line("{0} {1:8} {2:24} {3}", at, line.level, line.bundle or "(agent)", line.text)

    def level(self, session: Any, level: str = "", bundle: str = "") -> None:
        """
        Prints or sets from which level on lines are logged, for all or for one bundle: agent.level [LEVEL [BUNDLE]]
        """
        if level:
            try:
                self._journal.set_level(bundle, level)
            except InvalidInput as error:
                session.write_line("{0}", str(error))
                return
        for name, number in self._journal.levels.items():
            session.write_line("{0:24} {1}", name or "(all others)", number)
