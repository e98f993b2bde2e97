"""The provisioning page has everything it names."""

from __future__ import annotations

import re

import pytest

from inaetics.provisioning.servlet import _STATIC, _file

INDEX = _file(*_STATIC[""]).body.decode()
NAMED = sorted(set(re.findall(r'(?:href|src)="([\w.-]+\.\w+)"', INDEX)))


def test_it_names_the_look_that_all_pages_share() -> None:
    assert {"theme.css", "style.css", "app.js"} <= set(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_is_served(name: str) -> None:
    assert _file(*_STATIC[name]).body
