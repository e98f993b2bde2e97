"""Log lines of a small daemon: as `inaetics.logs` writes them, without the 11 MB that structlog would cost it."""

from __future__ import annotations

import datetime
import json
import sys


def log(event: str, *, level: str = "info", **fields: object) -> None:
    """Write one line on standard error: a JSON object with a fixed `event` and what varies in fields."""
    now = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
    line = json.dumps({**fields, "event": event, "level": level, "timestamp": now}, default=str)
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
