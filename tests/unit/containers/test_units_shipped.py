"""The files that the system ships: they are there, and they are what the design says."""

from __future__ import annotations

import pytest

from inaetics import resources
from inaetics.containers.images import check_names, image_names, local_reference, usual_names
from inaetics.errors import NotFound
from inaetics.ports import NODE_AGENT_PORTS
from inaetics.units.fleet_section import fleet_section
from inaetics.units.grammar import parse
from inaetics.units.names import parse_name
from inaetics.units.references import split_reference
from inaetics.units.verify import verify

UNITS = {
    "felix@.container": ("felix@1.service", ("felix@*.service", "provisioning.service"), "felix-agent", "8080", "2019"),
    "java@.container": ("java@1.service", ("java@*.service",), "felix-agent:java", "8083", "2022"),
    "celix@.container": ("celix@1.service", ("celix@*.service",), "celix-agent", "8081", "2020"),
    "producer@.container": ("producer@1.service", ("producer@*.service",), "celix-agent", "8082", "2021"),
    "provisioning.container": ("provisioning.service", ("felix@*.service",), "provisioning", "8080", "2019"),
}


def test_there_are_no_others() -> None:
    assert {path.name for path in resources.units_directory().iterdir()} == set(UNITS)
    assert image_names(resources.images_directory()) == (
        "celix-agent",
        "felix-agent",
        "felix-agent:java",
        "provisioning",
    )
    assert usual_names(resources.images_directory()) == ("celix-agent", "felix-agent", "provisioning")


@pytest.mark.parametrize("file", UNITS)
def test_units_are_as_the_design_has_them(file: str) -> None:
    name, conflicts, image, page, shell = UNITS[file]
    unit = parse((resources.units_directory() / file).read_text(), source=file)
    verify(unit, parse_name(name))
    section = fleet_section(unit, parse_name(name))
    assert section.conflicts == conflicts
    assert section.metadata == {"role": frozenset({"inaetics-agent"})}
    assert unit.get("Container", "Image") == f"${{INAETICS_REGISTRY}}/inaetics/{':'.join(split_reference(image))}"
    assert unit.get("Container", "Network") == "host"
    environment = " ".join(unit.get_all("Container", "Environment"))
    assert f"INAETICS_PAGE_PORT={page} INAETICS_SHELL_PORT={shell}" in environment
    assert {int(page), int(shell)} <= set(NODE_AGENT_PORTS)
    for wanted in ("INAETICS_AGENT=", "INAETICS_ADDRESS=", "INAETICS_HOST=", "INAETICS_ETCD_ENDPOINTS="):
        assert wanted in environment
    assert unit.get("Service", "Restart") == "always"


@pytest.mark.parametrize("name", ["celix-agent", "felix-agent", "provisioning"])
def test_agents_start_with_their_own_module(name: str) -> None:
    recipe = (resources.images_directory() / name / "Containerfile").read_text()
    module = "inaetics.provisioning" if name == "provisioning" else "inaetics.node"
    assert f'CMD ["python3", "-m", "{module}"]' in recipe
    assert "RUN " not in recipe, "images are built without running anything"


def test_the_lock_of_the_images_is_there() -> None:
    assert "--hash=sha256:" in resources.node_lock().read_text()


def test_an_image_may_have_a_tag_of_its_own() -> None:
    assert local_reference("felix-agent") == "localhost/inaetics/felix-agent:latest"
    assert local_reference("felix-agent:java") == "localhost/inaetics/felix-agent:java"
    assert check_names([], resources.images_directory()) == usual_names(resources.images_directory())
    assert check_names(["felix-agent:java"], resources.images_directory()) == ("felix-agent:java",)
    with pytest.raises(NotFound, match=r"felix-agent:jav'.*felix-agent:java"):
        check_names(["felix-agent:jav"], resources.images_directory())
