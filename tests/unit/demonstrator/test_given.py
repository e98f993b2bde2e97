"""What a unit says of the pipeline's bundles: whatever is wrong is refused with what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from inaetics.demonstrator.bundles.producer.pace import KNOWN, PREFIX, Beginning, beginning
from inaetics.demonstrator.settings import Given
from inaetics.errors import InvalidInput
from inaetics.provisioning.settings import read_settings
from inaetics.units.container import ContainerEngine, to_service
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.service_spec import service_spec


def producer(**said: object) -> Beginning:
    return beginning(Given({PREFIX + name: value for name, value in said.items()}, PREFIX, *KNOWN))


def test_what_is_not_said_has_its_default() -> None:
    assert producer() == Beginning(rate=500, maximum=5_000, mode="periodic")
    assert producer(maximum="100") == Beginning(rate=100, maximum=100, mode="periodic")
    assert producer(rate="0", mode="burst") == Beginning(rate=0, maximum=5_000, mode="burst")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"mode": "now and then"}, r"inaetics.producer.mode is 'now and then': it must be one of periodic, burst"),
        ({"rate": "fast"}, r"inaetics.producer.rate is 'fast': it must be a number from 0 to 5,000 samples/s"),
        ({"rate": "-1"}, "from 0 to 5,000"),
        ({"rate": "nan"}, "from 0 to 5,000"),
        ({"rate": "900", "maximum": "800"}, "from 0 to 800"),
        ({"maximum": "0"}, "from 1 to 1,000,000"),
        ({"maximum": "inf"}, "from 1 to 1,000,000"),
        ({"rat": "9"}, r"there is no property inaetics.producer.rat \(there are: inaetics.producer.rate, "),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(said: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        producer(**said)
    assert "INAETICS_PROPERTIES" in str(refused.value)


def test_samples_and_bytes_are_whole() -> None:
    def capacity(said: object) -> int:
        return Given({"x.capacity": said}, "x.", "capacity").whole("capacity", 7, least=1, most=9, unit="samples")

    assert capacity("5") == 5
    assert capacity(9) == 9
    for wrong in ("5.5", "0", "10", "", "five", None):
        with pytest.raises(InvalidInput, match=r"x.capacity is .*number from 1 to 9 samples"):
            capacity(wrong)


def test_other_peoples_names_are_theirs() -> None:
    assert Given({"x.y.rate": 3, "xz": 1}, "x.z.", "rate").number("rate", 2, least=0, most=9, unit="") == 2


UNITS = Path(__file__).parents[3] / "units"
READERS: dict[str, Callable[[Given], object]] = {
    "inaetics.producer.": beginning,
    "inaetics.queue.": lambda given: given.whole("capacity", 1, least=1, most=10_000_000, unit="samples"),
    "inaetics.datastore.": lambda given: given.whole("bytes", 10**8, least=1_000_000, most=10**15, unit="bytes"),
    "inaetics.processor.": lambda given: given.number("cost.us", 0, least=0, most=10_000, unit="µs"),
}
KNOWN_BELOW = {
    "inaetics.producer.": KNOWN,
    "inaetics.queue.": ("capacity",),
    "inaetics.datastore.": ("bytes",),
    "inaetics.processor.": ("cost.us",),
}


@pytest.mark.parametrize("unit", ["producer@", "celix@", "felix@"])
def test_the_example_in_a_unit_is_right(unit: str) -> None:
    """Its comment mark taken away, the line reaches the agent as it should."""
    text = (UNITS / f"{unit}.container").read_text().replace("# For its bundles: ", "")
    service = to_service(
        parse(text), parse_name(f"{unit}1.service"), ContainerEngine(command=("podman",), publish_address="127.0.0.1")
    )
    (command,) = service_spec(service, parse_name(f"{unit}1.service")).exec_start
    said = [word.removeprefix("--env=") for word in command.argv if word.startswith("--env=")]
    environment = dict(word.split("=", 1) for word in said) | {"INAETICS_ADDRESS": "127.0.0.1"}
    properties = read_settings(environment).properties
    assert len(properties) == 2
    for prefix, read in READERS.items():
        read(Given(properties, prefix, *KNOWN_BELOW[prefix]))
    assert all(name.startswith(tuple(READERS)) for name in properties)
