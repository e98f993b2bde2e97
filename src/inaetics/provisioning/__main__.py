"""``python -m inaetics.provisioning``: a provisioning server, as its container runs it."""

from __future__ import annotations

import os
import sys

from inaetics.logs import configure_logs
from inaetics.provisioning.framework import serve
from inaetics.provisioning.server import Server
from inaetics.provisioning.settings import read_settings


def main() -> int:
    configure_logs(stream=sys.stdout)
    return serve(lambda request: Server(read_settings(os.environ, agent="provisioning"), request))


if __name__ == "__main__":
    sys.exit(main())
