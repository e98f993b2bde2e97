"""The two kernels: the same results bit by bit, whatever the values are."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.demonstrator.bundles.processor.kernel import PythonKernel
from inaetics.demonstrator.native import LIBRARY, Library, library
from inaetics.errors import InvalidInput, NotFound
from tests.support.native import compiled_kernels


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compiled_kernels(tmp_path_factory.mktemp("kernels")))


NANS = [0x7FF8000000000001, 0x7FF0000000000001, 0xFFF8000000000007]
"""Not-a-numbers of different bits: quiet, signalling, negative."""

BITS = st.one_of(st.floats().map(lambda value: struct.unpack("<Q", struct.pack("<d", value))[0]), st.sampled_from(NANS))


@given(pairs=st.lists(st.tuples(BITS, BITS)))
def test_sums_are_the_same_to_the_last_bit(native: Library, pairs: list[tuple[int, int]]) -> None:
    left, right = (struct.pack(f"<{len(pairs)}Q", *(pair[side] for pair in pairs)) for side in (0, 1))
    ours, pythons = (struct.unpack(f"<{len(pairs)}Q", kernel.sums(left, right)) for kernel in (native, PythonKernel()))
    for pair, our, python in zip(pairs, ours, pythons, strict=True):
        if all(map(_is_nan, pair)):  # which of the two a sum keeps is nowhere laid down
            assert _is_nan(our)
            assert _is_nan(python)
        else:
            assert our == python


def _is_nan(bits: int) -> bool:
    return math.isnan(struct.unpack("<d", struct.pack("<Q", bits))[0])


@pytest.mark.parametrize(("left", "right"), [(8, 16), (16, 8), (7, 7), (0, 8)])
def test_what_are_no_two_columns_is_refused(native: Library, left: int, right: int) -> None:
    with pytest.raises(InvalidInput, match=f"columns of {left} and {right} bytes"):
        native.sums(bytes(left), bytes(right))


def test_a_missing_library_is_named_with_what_helps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(LIBRARY, str(tmp_path / "kernels.so"))
    with pytest.raises(NotFound, match=r"cannot load the native kernels .*kernels\.so.*inaetics image build"):
        library()
