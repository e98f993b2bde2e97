"""Samples by columns: packing, unpacking and cutting blocks without making an object for each sample. Pure.

A column has 8 bytes a sample, little endian, so that a thousand samples travel, wait and are stored as a few objects.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import Any, TypeVar

import msgspec

from inaetics.demonstrator.api import Result, ResultBlock, Sample, SampleBlock
from inaetics.errors import InvalidInput

WIDTH = 8
"""Bytes of one sample in a column."""

MOST_IN_A_BLOCK = 1_000_000

_INTEGER, _FLOAT = struct.Struct("<q"), struct.Struct("<d")

T = TypeVar("T")


def packed(code: str, values: Iterable[float]) -> bytes:
    """A column of these values; `code` is "q" for integers and "d" for floats."""
    column = array(code, values)
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def unpacked(code: str, column: bytes) -> array[Any]:
    """The values of a column."""
    values = array(code)
    values.frombytes(column)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def ends(column: bytes) -> tuple[int, int]:
    """The first and the last value of a column of integers that is not empty."""
    return _INTEGER.unpack_from(column)[0], _INTEGER.unpack_from(column, len(column) - WIDTH)[0]


def read_sample_block(value: object) -> SampleBlock:
    """A block as it came over the wire. Raises `InvalidInput` when it is none."""
    block = converted(value, SampleBlock)
    _check(block)
    return block


def read_result_blocks(values: object) -> list[ResultBlock]:
    """Blocks as they came over the wire. Raises `InvalidInput` when one is none."""
    blocks = converted(values, list[ResultBlock])
    for block in blocks:
        _check(block.samples)
        _check_columns(block.samples, block.processed_ms, block.result1)
    return blocks


def converted(value: object, kind: type[T]) -> T:
    """As `msgspec.convert`, raising `InvalidInput`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"cannot understand a {kind}: {error}") from error


def part(block: SampleBlock, start: int, stop: int) -> SampleBlock:
    """The samples `start` to before `stop`, counted from the block's first."""
    if start == 0 and stop == block.count:
        return block
    here = slice(start * WIDTH, stop * WIDTH)
    return SampleBlock(
        block.producer,
        block.first + start,
        stop - start,
        block.time_ms[here],
        block.value1[here],
        block.value2[here],
    )


def result_part(block: ResultBlock, start: int, stop: int) -> ResultBlock:
    """The results `start` to before `stop`, counted from the block's first."""
    here = slice(start * WIDTH, stop * WIDTH)
    return ResultBlock(block.processed_ms[here], block.result1[here], part(block.samples, start, stop))


def of_samples(samples: Sequence[Sample]) -> list[SampleBlock]:
    """Blocks of these samples, in their order; samples of one producer that follow each other share one."""
    return [_block(run) for run in _runs(samples)]


def of_results(results: Sequence[Result]) -> list[ResultBlock]:
    """Blocks of these results, in their order."""
    blocks, done = [], 0
    for samples in of_samples([result.sample for result in results]):
        mine = results[done : done + samples.count]
        done += samples.count
        processed, result1 = packed("q", (r.processed_ms for r in mine)), packed("d", (r.result1 for r in mine))
        blocks.append(ResultBlock(processed, result1, samples))
    return blocks


def samples_of(block: SampleBlock) -> list[Sample]:
    """Each sample by itself."""
    columns = unpacked("q", block.time_ms), unpacked("d", block.value1), unpacked("d", block.value2)
    return [
        Sample(time_ms, value1, value2, block.producer, block.first + i)
        for i, (time_ms, value1, value2) in enumerate(zip(*columns, strict=True))
    ]


def results_of(block: ResultBlock) -> list[Result]:
    """Each result by itself."""
    columns = unpacked("q", block.processed_ms), unpacked("d", block.result1), samples_of(block.samples)
    return list(starmap(Result, zip(*columns, strict=True)))


def waves(producer: str, first: int, count: int, *, start_ms: float, step_ms: float) -> SampleBlock:
    """`count` samples of two slow waves, measured from `start_ms` on, one each `step_ms`.

    Samples of one millisecond are alike and computed once: a fast producer has hundreds of them.
    """
    times, values1, values2 = bytearray(), bytearray(), bytearray()
    done = 0
    while done < count:
        time_ms = int(start_ms + done * step_ms)
        later = start_ms + (count - 1) * step_ms >= time_ms + 1
        alike = max(math.ceil((time_ms + 1 - start_ms) / step_ms) - done, 1) if later else count - done
        alike = min(alike, count - done)
        times += _INTEGER.pack(time_ms) * alike
        values1 += _FLOAT.pack(math.sin(time_ms / 7000)) * alike
        values2 += _FLOAT.pack(math.cos(time_ms / 11000)) * alike
        done += alike
    return SampleBlock(producer, first, count, bytes(times), bytes(values1), bytes(values2))


def _block(run: Sequence[Sample]) -> SampleBlock:
    return SampleBlock(
        run[0].producer,
        run[0].sequence,
        len(run),
        packed("q", (sample.time_ms for sample in run)),
        packed("d", (sample.value1 for sample in run)),
        packed("d", (sample.value2 for sample in run)),
    )


def _runs(samples: Sequence[Sample]) -> Iterable[Sequence[Sample]]:
    start = 0
    for i in range(1, len(samples) + 1):
        before = samples[i - 1]
        if i < len(samples) and (samples[i].producer, samples[i].sequence) == (before.producer, before.sequence + 1):
            continue
        yield samples[start:i]
        start = i


def _check(block: SampleBlock) -> None:
    if block.first < 0 or not 0 < block.count <= MOST_IN_A_BLOCK:
        raise InvalidInput(
            f"cannot take {block.count} samples from {block.first} on: a block begins at 0 or later and has 1 to"
            f" {MOST_IN_A_BLOCK} samples"
        )
    _check_columns(block, block.time_ms, block.value1, block.value2)


def _check_columns(block: SampleBlock, *columns: bytes) -> None:
    for column in columns:
        if len(column) != block.count * WIDTH:
            raise InvalidInput(f"a column of {block.count} samples has {block.count * WIDTH} bytes, not {len(column)}")
