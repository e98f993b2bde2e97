"""The registry's client against answers written here; the real one is a component test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from inaetics.containers import registry as module
from inaetics.containers.registry import Registry
from inaetics.errors import InvalidInput, NotFound

LAYER = {"mediaType": "x", "digest": "sha256:1", "size": 100}
MANIFEST = {"config": {"digest": "sha256:c"}, "layers": [LAYER, {**LAYER, "size": 11}]}

ANSWERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "/v2/_catalog?n=500": ({"repositories": ["b", "a"]}, {"link": '</v2/_catalog?last=b&n=500>; rel="next"'}),
    "/v2/_catalog?last=b&n=500": ({"repositories": ["emptied", "gone"]}, {}),
    "/v2/a/tags/list?n=500": ({"name": "a", "tags": ["two", "one"]}, {}),
    "/v2/b/tags/list?n=500": ({"name": "b", "tags": ["many"]}, {}),
    "/v2/emptied/tags/list?n=500": ({"name": "emptied", "tags": None}, {}),
    "/v2/a/manifests/one": (MANIFEST, {"docker-content-digest": "sha256:one"}),
    "/v2/a/manifests/two": (MANIFEST, {"docker-content-digest": "sha256:two"}),
    "/v2/b/manifests/many": ({"manifests": [{"digest": "sha256:x"}]}, {"docker-content-digest": "sha256:list"}),
    "/v2/b/manifests/sha256:x": (MANIFEST, {"docker-content-digest": "sha256:x"}),
}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A client that finds the answers above."""

    def answer(self: Registry, path: str, headers: Mapping[str, str] | None = None) -> Any:
        if path not in ANSWERS:
            raise NotFound(path)
        return ANSWERS[path]

    monkeypatch.setattr(module, "registry_context", lambda *certificates: None)
    monkeypatch.setattr(Registry, "_json", answer)
    with Registry("127.0.0.1:5000", None) as client:  # type: ignore[arg-type]
        yield client


def test_long_catalogues_come_in_pages(registry: Registry) -> None:
    assert registry.repositories() == ["a", "b", "emptied", "gone"]


def test_an_image_knows_its_digests_and_size(registry: Registry) -> None:
    image = registry.image("a", "one")
    assert (image.digest, image.identity, image.size) == ("sha256:one", "sha256:c", 111)


def test_a_list_for_several_architectures_keeps_its_own_digest(registry: Registry) -> None:
    image = registry.image("b", "many")
    assert (image.digest, image.size) == ("sha256:list", 111)


def test_all_images_but_those_deleted_meanwhile(registry: Registry) -> None:
    assert [(each.repository, each.tag) for each in registry.images()] == [("a", "one"), ("a", "two"), ("b", "many")]


def test_an_address_needs_its_port() -> None:
    with pytest.raises(InvalidInput, match="HOST:PORT"):
        Registry("example", None)  # type: ignore[arg-type]
