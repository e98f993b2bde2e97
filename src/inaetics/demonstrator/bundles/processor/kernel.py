"""What a processor computes, in Python."""

from __future__ import annotations

import math
import operator

from inaetics.demonstrator.blocks import packed, unpacked


class PythonKernel:
    """A `Kernel`."""

    def sums(self, left: bytes, right: bytes) -> bytes:
        return packed("d", map(operator.add, unpacked("d", left), unpacked("d", right)))

    def burn(self) -> None:
        value = 0.5
        for _ in range(100):
            value = math.fabs(math.sin(value * 3.9 * (1 - value)))
