"""``python -m inaetics.node``: a node agent, as its container runs it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

from inaetics.provisioning.early import ends_when_asked


def main() -> NoReturn:
    ends_when_asked()
    from inaetics.errors import InvalidInput
    from inaetics.logs import configure_logs
    from inaetics.node.agent import Agent
    from inaetics.node.collector import relax_collector
    from inaetics.node.journal import Journal
    from inaetics.provisioning.framework import leave, serve
    from inaetics.provisioning.settings import read_settings

    relax_collector()
    journal = Journal()
    configure_logs(level="debug", stream=sys.stdout, first=[journal])  # the journal drops what is not wanted
    with suppress(InvalidInput):  # as everywhere, an unknown level counts as "info"
        journal.set_level("", os.environ.get("INAETICS_LOG_LEVEL", "info"))
    leave(serve(lambda request: Agent(read_settings(os.environ), request, journal)))


if __name__ == "__main__":
    main()
