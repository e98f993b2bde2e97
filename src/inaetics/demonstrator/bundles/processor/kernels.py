"""What a processor computes. `Kernel` is all that a faster one has to offer."""

from __future__ import annotations

import math
import operator
import time
from typing import Protocol

from inaetics.demonstrator.api import ResultBlock, SampleBlock
from inaetics.demonstrator.blocks import packed, unpacked


class Kernel(Protocol):
    """Makes the result of every sample of a block."""

    def process(self, block: SampleBlock) -> ResultBlock: ...


class Identity:
    """result1 = value1 + value2."""

    def process(self, block: SampleBlock) -> ResultBlock:
        sums = map(operator.add, unpacked("d", block.value1), unpacked("d", block.value2))
        return ResultBlock(packed("q", [round(time.time() * 1000)]) * block.count, packed("d", sums), block)


class Heavy:
    """The same result after `cost_us` µs of processor time for each sample, spent computing."""

    def __init__(self, cost_us: float) -> None:
        self._cost_us = cost_us
        self._identity = Identity()

    def process(self, block: SampleBlock) -> ResultBlock:
        end = time.thread_time() + block.count * self._cost_us / 1_000_000
        value = 0.5
        while time.thread_time() < end:
            for _ in range(20):
                value = math.fabs(math.sin(value * 3.9 * (1 - value)))
        return self._identity.process(block)


def kernel(cost_us: float) -> Kernel:
    """The kernel for a cost; none is the identity."""
    return Heavy(cost_us) if cost_us > 0 else Identity()
