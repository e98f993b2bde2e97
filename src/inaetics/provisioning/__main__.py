"""``python -m inaetics.provisioning``: a provisioning server, as its container runs it."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from inaetics.provisioning.early import ends_when_asked


def main() -> NoReturn:
    ends_when_asked()
    from inaetics.logs import configure_logs
    from inaetics.provisioning.framework import leave, serve
    from inaetics.provisioning.server import Server
    from inaetics.provisioning.settings import read_settings

    configure_logs(stream=sys.stdout)
    leave(serve(lambda request: Server(read_settings(os.environ, agent="provisioning"), request)))


if __name__ == "__main__":
    main()
