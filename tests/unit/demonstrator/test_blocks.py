"""Samples by columns: nothing changes on the way there and back, and what is no block is refused."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.demonstrator.api import Result, ResultBlock, Sample, SampleBlock
from inaetics.demonstrator.blocks import (
    ends,
    of_results,
    of_samples,
    packed,
    part,
    read_result_blocks,
    read_sample_block,
    result_part,
    results_of,
    samples_of,
    waves,
)
from inaetics.errors import InvalidInput

_numbers = st.floats(allow_nan=False)
_times = st.integers(-(2**63), 2**63 - 1)
_samples = st.builds(Sample, _times, _numbers, _numbers, st.sampled_from("pq"), st.integers(0, 6))
_results = st.builds(Result, _times, _numbers, _samples)


@given(st.lists(_results))
def test_results_are_the_same_after_packing(results: list[Result]) -> None:
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(of_results(results)))
    assert [result for block in read_result_blocks(sent) for result in results_of(block)] == results


def test_samples_that_follow_each_other_share_a_block() -> None:
    samples = [Sample(0, 1.0, 2.0, producer, n) for producer, n in [("p", 0), ("p", 1), ("q", 2), ("q", 3), ("q", 5)]]
    blocks = of_samples(samples)
    assert [(block.producer, block.first, block.count) for block in blocks] == [("p", 0, 2), ("q", 2, 2), ("q", 5, 1)]
    assert of_samples([]) == []


def test_a_part_of_a_block_is_those_samples() -> None:
    block = waves("p", 100, 10, start_ms=1000, step_ms=2)
    assert samples_of(part(block, 3, 7)) == samples_of(block)[3:7]
    results = ResultBlock(block.time_ms, block.value2, block)
    assert results_of(result_part(results, 3, 7)) == results_of(results)[3:7]


@given(start_ms=st.floats(0, 2e12), step_ms=st.floats(0, 5), count=st.integers(1, 300))
def test_a_waves_samples_are_as_many_as_asked_at_their_times(start_ms: float, step_ms: float, count: int) -> None:
    samples = samples_of(waves("p", 0, count, start_ms=start_ms, step_ms=step_ms))
    assert len(samples) == count
    for n, sample in enumerate(samples):
        assert abs(sample.time_ms - int(start_ms + n * step_ms)) <= 1, "to the rounding of a millisecond's end"
        assert (sample.value1, sample.value2) == (math.sin(sample.time_ms / 7000), math.cos(sample.time_ms / 11000))
    assert samples == sorted(samples, key=lambda sample: sample.time_ms)


def test_ends_are_the_first_and_the_last() -> None:
    assert ends(packed("q", [7, -1, 5])) == (7, 5)
    assert ends(packed("q", [-3])) == (-3, -3)


def test_waves_are_two_waves_at_their_times() -> None:
    samples = samples_of(waves("p", 5, 3, start_ms=7000, step_ms=500))
    assert [(s.time_ms, s.sequence) for s in samples] == [(7000, 5), (7500, 6), (8000, 7)]
    assert samples[0].value1 == math.sin(1)
    assert samples[2].value2 == math.cos(8000 / 11000)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(["p", 0, 2, b"x" * 16, b"x" * 16, b"x" * 8], "16 bytes, not 8", id="a short column"),
        pytest.param(["p", -1, 1, b"x" * 8, b"x" * 8, b"x" * 8], "-1", id="a sequence below 0"),
        pytest.param(["p", 0, 0, b"", b"", b""], "0 samples", id="nothing in it"),
        pytest.param(["p", 0, "1", b"", b"", b""], "cannot understand", id="a wrong type"),
        pytest.param(None, "cannot understand", id="no block"),
    ],
)
def test_what_is_no_block_is_refused(value: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_sample_block(value)


def test_results_need_as_many_results_as_samples() -> None:
    block = SampleBlock("p", 0, 1, b"x" * 8, b"x" * 8, b"x" * 8)
    with pytest.raises(InvalidInput, match="8 bytes, not 7"):
        read_result_blocks([ResultBlock(b"x" * 8, b"x" * 7, block)])
