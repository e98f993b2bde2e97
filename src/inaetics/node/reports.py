"""What came of deployments, kept until a provisioning server has taken it. For the deployer's thread."""

from __future__ import annotations

from collections import deque

import structlog

from inaetics.bundles.exchange import Report
from inaetics.errors import InvalidInput, Unavailable
from inaetics.node.provisioning_client import ProvisioningClient

log = structlog.get_logger()

MOST = 20
"""Kept for a server that does not answer; the oldest go first."""


class Reports:
    """Of one target. `installed` and `failed` count what was ever added."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._kept: deque[Report] = deque(maxlen=MOST)
        self._told = ("", "")
        self.installed = 0
        self.failed = 0

    @property
    def waiting(self) -> int:
        return len(self._kept)

    def add(self, report: Report) -> None:
        """To be told as soon as there is somebody to tell."""
        if report.state == "installed":
            self.installed += 1
        else:
            self.failed += 1
        self._kept.append(report)

    def add_once(self, what: str, report: Report) -> bool:
        """As `add`, for what is tried again and again: when `what` or the reason is new; returns whether one is."""
        if self._told == (what, report.error):
            return False
        self._told = (what, report.error)
        self.add(report)
        return True

    def send(self, client: ProvisioningClient) -> None:
        """Say it, the oldest first. What cannot be said now is kept for whoever answers next."""
        while self._kept:
            report = self._kept[0]
            try:
                client.report(self._target, report)
            except InvalidInput as error:
                log.info("report not taken", version=report.version, reason=str(error))
            except Unavailable as error:
                log.debug("report not sent", version=report.version, reason=str(error))
                return
            self._kept.popleft()
