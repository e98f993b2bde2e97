"""Debian's Chromium, and pages in which nothing may go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, ViewportSize, expect, sync_playwright

WITHIN_MS = 20_000
"""How long a page may take to show something: a loaded machine is slow."""

SIZE: ViewportSize = {"width": 1400, "height": 900}

_kept: WeakKeyDictionary[Browser, Page] = WeakKeyDictionary()
"""The page of each browser that nobody has just now (`lent`)."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"], timeout=60_000
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def faultless(browser: Browser, *, expected: tuple[str, ...] = (), **context: Any) -> Iterator[Page]:
    """A page in a session of its own. Fails at the end when a script of it failed or the browser refused something.

    `expected` are parts of messages that are no fault, as "401" of a request that is meant to be refused.
    """
    page = _new_page(browser, **context)
    with _judged(page, expected):
        yield page
        page.context.close()


@contextmanager
def lent(browser: Browser, *, expected: tuple[str, ...] = ()) -> Iterator[Page]:
    """As `faultless`, a page that one test after the other has: a new one costs two seconds of processor time.

    It comes back with its size and media as they were and without the token; clocks and routes stay, so whoever needs
    those takes a page of its own. Of a test that fails it does not come back.
    """
    page = _kept.pop(browser, None) or _new_page(browser)
    with _judged(page, expected):
        yield page
        page.evaluate("sessionStorage.clear()")
    page.emulate_media(color_scheme="null", reduced_motion="null")
    page.set_viewport_size(SIZE)
    page.goto("about:blank")
    _kept[browser] = page


def within(page: Page, width: int) -> None:
    """Wait until the page is laid out, graphs and all, and nothing in it is wider than `width` pixels."""
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width, timeout=20_000)


def _new_page(browser: Browser, **context: Any) -> Page:
    page = browser.new_context(**{"viewport": SIZE, **context}).new_page()
    page.set_default_timeout(WITHIN_MS)
    return page


@contextmanager
def _judged(page: Page, expected: tuple[str, ...]) -> Iterator[None]:
    errors: list[str] = []

    def failed(error: Error) -> None:
        errors.append(str(error))

    def told(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in expected):
            errors.append(message.text)

    page.on("pageerror", failed)
    page.on("console", told)
    yield
    page.remove_listener("pageerror", failed)
    page.remove_listener("console", told)
    assert not errors, errors
