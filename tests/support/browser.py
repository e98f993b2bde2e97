"""Debian's Chromium, and pages in which nothing may go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

WITHIN_MS = 20_000
"""How long a page may take to show something: a loaded machine is slow."""


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
    session = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **context})
    page = session.new_page()
    page.set_default_timeout(WITHIN_MS)
    errors: list[str] = []

    def told(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in expected):
            errors.append(message.text)

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", told)
    yield page
    session.close()
    assert not errors, errors
