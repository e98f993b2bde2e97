"""What `inaetics bundle init` writes: a bundle that starts, and tests that pass, to be changed from there. Pure."""

from __future__ import annotations

import json
from string import Template

_API = Template('''"""What others may know of $name: the name of its service, and what it can do.

Bundles share no code. Who uses the service copies these lines, or only the name.
"""

from typing import Protocol

SPECIFICATION = "$specification"


class $title(Protocol):
    def greet(self, name: str) -> str: ...
''')

_PROVIDER = Template('''"""The service of $name, for this agent and for all others."""

from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Property, Provides, Validate

from inaetics.node import api

from .api import SPECIFICATION


@ComponentFactory(f"{__name__}.$name")  # __name__ is another one for each version: two run side by side in an update
@Provides(SPECIFICATION)
@Property("_exported", api.EXPORTED_INTERFACES, "*")  # without this line only bundles of the same agent find it
@Instantiate(f"{__name__}.$name-1")
class $title:
    @Validate
    def validate(self, context):
        """All services this one requires are there: begin."""
        self._agent = context.get_property(api.AGENT)

    @Invalidate
    def invalidate(self, context):
        """Stop every thread that was started."""

    def greet(self, name):
        """Called on several threads at once, from here and from other agents."""
        return f"hello {name}, from {self._agent}"
''')

_PROVIDER_TEST = Template('''"""$title in a framework of its own: no cluster is needed."""

from pathlib import Path

import pytest

from inaetics.node.testing import BundleFramework

BUNDLE = Path(__file__).parent.parent / "$name"


@pytest.fixture
def framework():
    with BundleFramework() as framework:
        framework.install(BUNDLE)
        yield framework


def test_service_answers_as_other_agents_see_it(framework):
    service = framework.service("$specification", remote=True)
    assert service.greet("you") == "hello you, from test@1"


def test_it_goes_without_a_trace(framework):
    framework.uninstall("$name")
    assert not framework.has("$specification")
    assert framework.left == {}
''')

_USER = Template('''"""Uses a service, wherever it is: in this agent or in another one."""

import threading

import structlog
from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Requires, Validate

log = structlog.get_logger()


@ComponentFactory(f"{__name__}.$name")  # __name__ is another one for each version: two run side by side in an update
@Requires("_service", "$uses", immediate_rebind=True)  # goes on, without a stop, when the service is updated
@Instantiate(f"{__name__}.$name-1")
class $title:
    @Validate
    def validate(self, context):
        """The service is there: begin."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="$name", daemon=True)
        self._thread.start()

    @Invalidate
    def invalidate(self, context):
        """The service has gone, or this bundle goes: stop every thread that was started."""
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(1.0):
            try:
                log.info("answered", answer=self._service.greet("$name"))
            except Exception as error:  # a service of another agent may go at any time
                log.warning("not answered", reason=str(error))
''')

_USER_TEST = Template('''"""$title in a framework of its own, with something in place of the service it uses."""

from pathlib import Path

import pytest

from inaetics.node.testing import BundleFramework

BUNDLE = Path(__file__).parent.parent / "$name"


class Fake:
    def __init__(self):
        self.calls = []

    def greet(self, name):
        self.calls.append(name)
        return f"hello {name}"


@pytest.fixture
def framework():
    with BundleFramework() as framework:
        framework.install(BUNDLE)
        yield framework


def test_it_calls_the_service_once_it_is_there(framework):
    fake = Fake()
    framework.provide("$uses", fake)
    framework.wait(lambda: fake.calls == ["$name"], what="a call")


def test_it_goes_without_a_trace(framework):
    framework.provide("$uses", Fake())
    framework.uninstall("$name")
    assert framework.left == {}
''')


def skeleton(name: str, *, uses: str = "") -> dict[str, str]:
    """The files of a bundle `name`, by path: one that provides a service, or one that uses the service `uses`."""
    words = {"name": name, "title": title(name), "specification": specification(name), "uses": uses}
    manifest = {"name": name, "version": "1.0.0", "entry": "component", "requires": [], "provides": []}
    files = {
        f"{name}/bundle.json": json.dumps(manifest, indent=4) + "\n",
        f"{name}/__init__.py": "",
    }
    if uses:
        files[f"{name}/component.py"] = _USER.substitute(words)
        files[f"tests/test_{name}.py"] = _USER_TEST.substitute(words)
    else:
        files[f"{name}/api.py"] = _API.substitute(words)
        files[f"{name}/component.py"] = _PROVIDER.substitute(words)
        files[f"tests/test_{name}.py"] = _PROVIDER_TEST.substitute(words)
    return files


def title(name: str) -> str:
    """A bundle's name as a class has it: ``sample_queue`` is SampleQueue."""
    return "".join(part.capitalize() for part in name.split("_"))


def specification(name: str) -> str:
    """What the service of a bundle that `skeleton` makes is called."""
    return f"{name}.{title(name)}"
