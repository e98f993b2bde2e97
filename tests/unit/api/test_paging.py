"""Pages as the original cut them, and tokens its clients may hold."""

from __future__ import annotations

import pytest

from inaetics.api.paging import LIMIT, decode_token, encode_token, page_of
from inaetics.errors import InvalidInput


def test_a_token_begins_with_the_original_servers_bytes() -> None:
    assert encode_token(2) == "ZAACAA=="
    assert encode_token(2, "units").startswith("ZAACA")
    assert decode_token("ZAACAA==", "units") == 2, "one of the original's own names no resource"


def test_a_token_of_another_resource_is_refused() -> None:
    assert decode_token(encode_token(7, "units"), "units") == 7
    with pytest.raises(InvalidInput, match="it is not of machines"):
        decode_token(encode_token(7, "units"), "machines")


def test_a_token_comes_back() -> None:
    assert [decode_token(encode_token(page)) for page in (1, 2, 700, 0xFFFF)] == [1, 2, 700, 0xFFFF]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("EwBMLg==", id="another-limit"),
        pytest.param("ZAAAAA==", id="page-zero"),
        pytest.param("ZAAC", id="too-short"),
        pytest.param("not base64", id="no-base64"),
        pytest.param("", id="empty"),
        pytest.param("ZAAÿA==", id="not-ascii"),
    ],
)
def test_a_token_of_nobody_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="nextPageToken"):
        decode_token(token)


@pytest.mark.parametrize(
    ("count", "page", "expected", "more"),
    [
        pytest.param(0, 1, range(0), False, id="nothing"),
        pytest.param(LIMIT, 1, range(LIMIT), False, id="one-full-page-has-no-next"),
        pytest.param(103, 1, range(100), True, id="first-of-two"),
        pytest.param(103, 2, range(100, 103), False, id="last-of-two"),
        pytest.param(103, 9, range(0), False, id="behind-the-end"),
    ],
)
def test_pages(count: int, page: int, expected: range, more: bool) -> None:
    items, token = page_of(list(range(count)), [encode_token(page)])
    assert items == tuple(expected)
    assert (token is not None) == more


def test_no_token_is_the_first_page() -> None:
    assert page_of("abc", []) == (("a", "b", "c"), None)


def test_two_tokens_are_refused() -> None:
    with pytest.raises(InvalidInput, match="too many"):
        page_of("abc", [encode_token(1), encode_token(2)])
