"""Where the installed programs begin: a Ctrl-C is no traceback either while their modules are still being read."""

from __future__ import annotations

import os
import sys
from importlib import import_module

INTERRUPTED = 130
"""As shells have it: 128 + SIGINT."""


def inaetics() -> None:
    _run("inaetics.cli.inaetics")


def fleetctl() -> None:
    _run("inaetics.cli.fleetctl")


def inaetics_fleet_manager() -> None:
    _run("inaetics.cli.fleet_manager")


def _run(module: str) -> None:
    try:
        main = import_module(module).main
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.stderr.flush()
        os._exit(INTERRUPTED)
    main()
