"""A bundle that hangs is given up, named and removed; what ran before runs on, and the framework answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pelix.framework import BundleContext
from pelix.ipopo.constants import use_ipopo

from inaetics.bundles.archive import Archive, open_archive
from inaetics.errors import InvalidInput
from inaetics.node.installer import Installer, NotInstalled
from inaetics.node.loader import BundleLoader, package_name
from inaetics.node.whose import visitors
from tests.support.bundles import packed
from tests.support.eventually import eventually

GREETER = """
    import threading
    from pelix.ipopo.decorators import ComponentFactory, Instantiate, Invalidate, Provides, Requires, Validate
    {module}

    @ComponentFactory(f"{{__name__}}.greeter")
    @Provides("greeting")
    @Requires("_names", "name", aggregate=True, optional=True)
    @Instantiate(f"{{__name__}}.greeter-1")
    class Greeter:
        def __init__(self):
            {init}
        @Validate
        def validate(self, context):
            self.context = context
            {validate}
        @Invalidate
        def invalidate(self, context):
            {invalidate}
        def greet(self):
            return {word!r}
"""
ACTIVATOR = """
    import threading
    from pelix.constants import BundleActivator

    @BundleActivator
    class Activator:
        def start(self, context):
            context.register_service("greeting", self, {{}})
            {start}
        def stop(self, context):
            {stop}
        def greet(self):
            return {word!r}
"""
WAIT = "threading.Event().wait()"
LOOP = "while True: pass"


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Bundles that wait for it (``context.get_property("gate")``) come back at the end of the test at the latest."""
    event = threading.Event()
    yield event
    event.set()


def greeter(root: Path, version: str, *, word: str = "", source: str = GREETER, **parts: str) -> Archive:
    names = ("module", "init", "validate", "invalidate", "start", "stop")
    text = source.format(word=word or version, **{name: parts.get(name, "pass") for name in names})
    return open_archive(packed(root, "greeter", version, init=text))


def greetings(context: BundleContext) -> list[str]:
    references: list[Any] = context.get_all_service_references("greeting", None) or []
    services: list[Any] = [context.get_service(reference) for reference in references]
    return sorted(service.greet() for service in services)


@pytest.mark.parametrize(
    ("source", "parts", "doing"),
    [
        pytest.param(GREETER, {"module": WAIT}, "import", id="import"),
        pytest.param(GREETER, {"init": WAIT}, "start", id="constructor"),
        pytest.param(GREETER, {"validate": WAIT}, "start", id="validate"),
        pytest.param(GREETER, {"validate": LOOP}, "start", id="validate that keeps a processor busy"),
        pytest.param(ACTIVATOR, {"start": WAIT}, "start", id="activator"),
    ],
)
def test_version_that_hangs_leaves_the_old_one_and_a_framework_that_works(
    context: BundleContext, tmp_path: Path, source: str, parts: dict[str, str], doing: str
) -> None:
    installer = Installer(BundleLoader(context))
    old = greeter(tmp_path, "1.0.0")
    installer.switch([old])
    hanging = greeter(tmp_path, "1.1.0", source=source, **parts)
    with pytest.raises(
        InvalidInput, match=rf"bundle greeter-1\.1\.0: it did not {doing} within 0\.6 s: .*__init__\.py:"
    ):
        installer.switch([hanging], within_s=0.6)
    assert greetings(context) == ["1.0.0"]
    assert installer.running == (old,)
    with use_ipopo(context) as ipopo:
        assert not any(package_name(hanging) in name for name in ipopo.get_factories())
        assert not any(package_name(hanging) in name for name, _, _ in ipopo.get_instances())
    installer.switch([greeter(tmp_path, "1.2.0")])
    assert greetings(context) == ["1.2.0"]
    installer.stop_all()
    assert greetings(context) == []


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        pytest.param(GREETER, {"invalidate": WAIT}, id="invalidate"),
        pytest.param(ACTIVATOR, {"stop": WAIT}, id="activator"),
    ],
)
def test_old_version_that_hangs_in_its_stop_is_named_and_gone(
    context: BundleContext, tmp_path: Path, source: str, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inaetics.node.installer.STOP_S", 0.3)
    installer = Installer(BundleLoader(context))
    installer.switch([greeter(tmp_path, "1.0.0", source=source, **parts)])
    installer.switch([greeter(tmp_path, "1.1.0")])
    assert greetings(context) == ["1.1.0"]
    (lost,) = installer.hanging
    assert (lost.bundle, lost.doing) == ("greeter-1.0.0", "stop")
    assert "__init__.py" in lost.place
    assert [archive.manifest.key for archive in installer.running] == ["greeter-1.1.0"]
    installer.switch([greeter(tmp_path, "1.2.0")])
    assert greetings(context) == ["1.2.0"]


def test_bundle_that_comes_back_after_it_was_given_up_registers_nothing(
    context: BundleContext, tmp_path: Path, gate: threading.Event
) -> None:
    def stubborn() -> None:
        """Comes back from its wait as if nothing had been said."""
        with suppress(BaseException):
            gate.wait()

    context.get_framework().add_property("stubborn", stubborn)
    wait = "context.get_property('stubborn')()"
    installer = Installer(BundleLoader(context))
    for version, source, part in (("1.1.0", GREETER, "validate"), ("1.2.0", ACTIVATOR, "start")):
        late = f"{wait}; context.register_service('greeting', self, {{}})"
        with pytest.raises(NotInstalled):
            installer.switch([greeter(tmp_path, version, source=source, **{part: late})], within_s=0.6)
    assert len(installer.hanging) == 2
    gate.set()
    eventually(lambda: not installer.hanging, within_s=20, what="the threads end")
    assert greetings(context) == []
    assert context.get_bundles()[-1].get_symbolic_name().startswith("pelix")


def test_service_event_reaches_others_while_a_component_hangs(context: BundleContext, tmp_path: Path) -> None:
    """A service that a hanging component requires comes and goes: whoever tells of it must not wait for ever."""
    installer = Installer(BundleLoader(context))
    told = threading.Event()

    def tell() -> None:
        context.register_service("name", object(), {}).unregister()
        told.set()

    threading.Timer(0.2, tell).start()
    with pytest.raises(NotInstalled):
        installer.switch([greeter(tmp_path, "1.0.0", validate=WAIT)], within_s=0.9)
    assert told.wait(20)


def test_thread_that_keeps_a_lock_is_the_one_that_loses_it(
    context: BundleContext, tmp_path: Path, gate: threading.Event
) -> None:
    """Somebody else hangs in a bundle's code with its lock: the bundle can be replaced all the same."""
    context.get_framework().add_property("gate", gate)
    source = GREETER.replace(
        "def greet(self)",
        "@Bind\n        def bind(self, service, reference):\n            service.wait()\n        def greet(self)",
    ).replace("Requires,", "Requires, Bind,")
    installer = Installer(BundleLoader(context))
    installer.switch([greeter(tmp_path, "1.0.0", source=source)])
    other = threading.Thread(target=lambda: context.register_service("name", gate, {}), name="other", daemon=True)
    other.start()
    eventually(lambda: visitors(package_name(installer.running[0])) == ["other"], within_s=20, what="it is inside")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inaetics.node.installer.STOP_S", 0.3)
        patch.setattr("inaetics.node.installer.DRAIN_S", 0.1)
        installer.switch([greeter(tmp_path, "1.1.0")])
    assert greetings(context) == ["1.1.0"]
    assert installer.hanging == ()
    gate.set()
    other.join(20)
    assert not other.is_alive()


def test_threads_that_a_bundle_leaves_behind_are_named(
    context: BundleContext, tmp_path: Path, gate: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    context.get_framework().add_property("gate", gate)
    starts = (
        "self.work = lambda: context.get_property('gate').wait(); "
        "threading.Thread(target=self.work, name='own', daemon=True).start(); "
        "threading.Thread(target=context.get_property('gate').wait, name='plain', daemon=True).start()"
    )
    installer = Installer(BundleLoader(context))
    installer.switch([greeter(tmp_path, "1.0.0", validate=starts)])
    assert installer.leaked == {}
    installer.switch([greeter(tmp_path, "1.1.0")])
    assert installer.leaked == {"greeter-1.0.0": ["own", "plain"]}
    assert "bundle left threads behind" in capfd.readouterr().out
    gate.set()
    eventually(lambda: installer.leaked == {}, within_s=20, what="they ended")


def test_calls_in_flight_come_to_their_end_before_the_old_version_stops(
    context: BundleContext, tmp_path: Path, gate: threading.Event
) -> None:
    context.get_framework().add_property("gate", gate)
    slow = GREETER.replace("return {word!r}", "self.context.get_property('gate').wait(); return self.open and {word!r}")
    old = greeter(tmp_path, "1.0.0", source=slow, validate="self.open = True", invalidate="self.open = False")
    installer = Installer(BundleLoader(context))
    installer.switch([old])
    said: list[list[str]] = []
    caller = threading.Thread(target=lambda: said.append(greetings(context)))
    caller.start()
    eventually(lambda: visitors(package_name(old)), within_s=20, what="the call is under way")
    switching = threading.Thread(target=installer.switch, args=([greeter(tmp_path, "1.1.0")],))
    switching.start()
    eventually(
        lambda: greetings_of(context) == [package_name(greeter(tmp_path, "1.1.0"))], within_s=20, what="new serves"
    )
    assert said == []
    gate.set()
    caller.join(20)
    switching.join(20)
    assert said == [["1.0.0"]]


def greetings_of(context: BundleContext) -> list[str]:
    references: list[Any] = context.get_all_service_references("greeting", None) or []
    return [reference.get_bundle().get_symbolic_name() for reference in references]


def test_end_of_the_process_does_not_wait_for_a_start_that_hangs(context: BundleContext, tmp_path: Path) -> None:
    installer = Installer(BundleLoader(context))
    installer.switch([greeter(tmp_path, "1.0.0")])
    hangs = tmp_path / "hangs"
    hanging = greeter(tmp_path, "1.1.0", validate=f"open({str(hangs)!r}, 'w').close(); {WAIT}")
    failed: list[str] = []

    def switch() -> None:
        try:
            installer.switch([hanging], within_s=60)
        except InvalidInput as error:
            failed.append(str(error))

    thread = threading.Thread(target=switch)
    thread.start()
    eventually(hangs.exists, within_s=20, what="it starts")
    installer.stop_all()
    thread.join(20)
    assert failed
    assert installer.running == ()
    assert greetings(context) == []


def test_framework_that_does_not_even_let_a_bundle_be_removed_is_told_of(
    context: BundleContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last resort: some lock that is not ours is kept, so the process must end."""
    monkeypatch.setattr("inaetics.node.installer.STOP_S", 0.2)
    monkeypatch.setattr("inaetics.node.installer.FORCE_S", 0.2)
    stuck: list[str] = []
    loader = BundleLoader(context)
    monkeypatch.setattr(loader, "force", lambda installed: threading.Event().wait())
    installer = Installer(loader, stuck=stuck.append)
    installer.switch([greeter(tmp_path, "1.0.0", invalidate=WAIT)])
    installer.switch([])
    assert len(stuck) == 1
    assert "bundle greeter-1.0.0 cannot even be removed" in stuck[0]
