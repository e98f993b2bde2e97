"""What a bundle was given by the unit of its agent, and an activator that looks at it when the bundle starts.

A component finds out only once the services it needs are there, and then nobody would hear of it. An activator that
raises makes the deployment fail with the reason, and the agent goes back to what it ran.
"""

from __future__ import annotations

from pelix.framework import BundleContext

from inaetics.demonstrator.settings import Given


def given(context: BundleContext, prefix: str, *known: str) -> Given:
    """The framework properties below `prefix`. Raises `InvalidInput` for one that is not known."""
    return Given(context.get_framework().get_properties(), prefix, *known)


class Checks:
    """A bundle's activator. Its bundle says in `check` what there is to look at."""

    def start(self, context: BundleContext) -> None:
        self.check(context)

    def stop(self, _context: BundleContext) -> None:
        """Nothing was begun."""

    def check(self, context: BundleContext) -> None:
        """Raises `InvalidInput`."""
        raise NotImplementedError
