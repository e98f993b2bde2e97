"""``python -m inaetics.node``: a node agent, as its container runs it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from inaetics.logs import configure_logs
from inaetics.node.agent import Agent
from inaetics.provisioning.framework import leave, serve
from inaetics.provisioning.settings import read_settings


def main() -> NoReturn:
    configure_logs(stream=sys.stdout)
    leave(serve(lambda request: Agent(read_settings(os.environ), request)))


if __name__ == "__main__":
    main()
