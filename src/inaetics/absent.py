"""Modules that a daemon goes without though they are installed: others load them when they find them, for nothing.

A program says so before it imports anything that would; so this imports nothing.
"""

from __future__ import annotations

import sys


def do_without(*modules: str) -> None:
    """Have these modules look as if they were not installed. One that was imported before stays."""
    for module in modules:
        sys.modules.setdefault(module, None)  # type: ignore[arg-type]  # None is how the import system marks "absent"
