"""The dashboard's part about what agents run: who runs what, and going back, in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import msgspec
import pytest
from playwright.sync_api import Browser, expect

from inaetics.api import token_record
from inaetics.api.client import FleetClient
from inaetics.api.gateway import Gateway
from inaetics.api.provisioning_client import change, targets, version, versions
from inaetics.api.provisioning_wire import VersionRequest
from inaetics.bundles.records import LOG_ROOT, PREFIX, TRIAL, Artifact, artifact_key
from tests.component.api.live import LiveFleet
from tests.support.browser import chromium, faultless
from tests.support.eventually import eventually
from tests.support.pretend_agents import pretend_agents

EXPECTED = ("Failed to load resource",)
"""What the browser says of a request that is refused."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@contextmanager
def gateway_to(fleet: LiveFleet, token: str | None) -> Iterator[Gateway]:
    with Gateway(lambda: ((f"unix://{fleet.socket}",), None), token=lambda: token, who="berta@here") as gateway:
        thread = threading.Thread(target=gateway.serve_forever)
        thread.start()
        try:
            yield gateway
        finally:
            gateway.shutdown()
            thread.join()


@pytest.fixture
def software(fleet: LiveFleet, client: FleetClient) -> Iterator[None]:
    """Two targets, and a second version of the mapping that one of them cannot run."""
    fleet.call(lambda: fleet.store.put(token_record.KEY, token_record.digest("ours")))
    for name in ("a", "b"):
        value = msgspec.json.encode(Artifact(name=name, version="1.0.0", sha256=str(ord(name) % 10) * 64, size=1))
        fleet.call(lambda name=name, value=value: fleet.store.put(artifact_key(name, "1.0.0"), value))  # type: ignore[misc]
    with pretend_agents(fleet, {"x@1": "", "x@2": "b"}):
        for number, name in enumerate(("a", "b"), 1):
            text = "".join(f'[[rules]]\ntarget = "x@{target}"\ninstall = ["{name}"]\n' for target in (1, 2))
            change(client, VersionRequest(text=text, by="anna"))
            settled = partial(_all_said, client, f"{number}-")
            eventually(settled, within_s=20, what="both said what came of it")
        yield
    for prefix in (PREFIX, LOG_ROOT, TRIAL):
        fleet.call(lambda prefix=prefix: fleet.store.delete(prefix, prefix=True))  # type: ignore[misc]


def _all_said(client: FleetClient, version: str) -> bool:
    listed = targets(client).targets
    return all(each.deployment.startswith(version) and each.outcome in ("current", "failed") for each in listed)


@pytest.mark.usefixtures("software")
def test_what_agents_run_is_shown_and_taken_back(fleet: LiveFleet, browser: Browser, client: FleetClient) -> None:
    with gateway_to(fleet, "ours") as gateway, faultless(browser, expected=EXPECTED) as page:
        page.goto(gateway.url)
        expect(page.locator("[data-target='x@1']")).to_have_attribute("data-outcome", "current")
        expect(page.locator("[data-target='x@2']")).to_have_attribute("data-outcome", "failed")
        expect(page.locator("#software-problem")).to_contain_text("cannot run this version")
        page.get_by_role("button", name="x@2").click()
        expect(page.locator("#target-history [data-event=rolled-back]")).to_contain_text("bundle b does not start")
        page.keyboard.press("Escape")
        page.locator("[data-version='1']").get_by_role("button", name="Go back").click()
        expect(page.locator("[data-change='x@2']")).to_contain_text("b@1.0.0")
        assert version(client).version == 2, "what it would change is shown first"
        page.locator("#change-reason").fill("b is bad")
        page.get_by_role("button", name="Put version 3 in force").click()
        expect(page.locator("#change [role=status]")).to_contain_text(
            "Version 3 is in force: back to version 1: b is bad"
        )
        page.keyboard.press("Escape")
        expect(page.locator("[data-outcome=current]")).to_have_count(2)
        expect(page.locator("#software-problem")).not_to_be_visible()
        made = version(client)
        assert (made.version, made.by) == (3, "berta@here (dashboard)")
        assert versions(client).trial is None


@pytest.mark.usefixtures("software")
def test_who_has_no_token_is_asked_for_it(fleet: LiveFleet, browser: Browser, client: FleetClient) -> None:
    with gateway_to(fleet, None) as gateway, faultless(browser, expected=EXPECTED) as page:
        page.goto(gateway.url)
        page.get_by_role("button", name="Newest bundles").click()
        for token, said in (("", "needs the cluster's token"), ("guess", "not the cluster's control token")):
            if token:
                page.locator("#change-token").fill(token)
                page.get_by_role("button", name="Go on").click()
            expect(page.locator("#change-problem")).to_contain_text(said)
        page.locator("#change-token").fill("ours")
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Put version 3 in force").click()
        expect(page.locator("#change [role=status]")).to_contain_text("Version 3 is in force")
        assert version(client).version == 3
        trial = versions(client).trial
        assert trial is not None, "the cluster goes back from what cannot be run"
        assert (trial.version, trial.back_to) == (3, 2)
