"""How long samples took from being taken to being stored, over the last seconds."""

from __future__ import annotations

import threading
from collections import deque

OVER_S = 10.0
MOST = 4096


class Latency:
    """Two readings a block: its oldest and its youngest sample, on one clock (`clocks`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readings: deque[tuple[float, float]] = deque(maxlen=MOST)

    def add(self, now_s: float, *took_ms: float) -> None:
        with self._lock:
            self._readings.extend((now_s, max(took, 0.0)) for took in took_ms)

    def percentile(self, percent: float, now_s: float) -> float:
        """0 when nothing was stored lately by producers whose clock is known."""
        with self._lock:
            readings = sorted(took for at, took in self._readings if at >= now_s - OVER_S)
        return readings[min(int(len(readings) * percent / 100), len(readings) - 1)] if readings else 0
