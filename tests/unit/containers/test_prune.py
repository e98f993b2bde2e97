"""Which images of a store nobody needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inaetics.containers.prune import Needed, StoredImage, plan_prune, spare_archives

D1, D2 = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def image(identity: str, parent: str = "", *, size: int = 10, containers: int = 0, **more: object) -> StoredImage:
    fields = {"names": (), "repo_digests": (), "digest": "", **more}
    return StoredImage(id=identity, parent_id=parent, size=size, containers=containers, **fields)  # type: ignore[arg-type]


def gone(*images: StoredImage, needed: Needed | None = None, builder: bool = False) -> list[str]:
    return [removal.image.id for removal in plan_prune(images, needed or Needed(), builder=builder)]


@pytest.mark.parametrize(
    ("kept", "needed"),
    [
        pytest.param(image("a", containers=1), Needed(), id="a container was made from it"),
        pytest.param(image("a", digest=D1), Needed(digests={D1}), id="a unit keeps its digest"),
        pytest.param(
            image("a", digest=D2, repo_digests=(f"r:5000/x@{D1}",)), Needed(digests={D1}), id="it was pulled as that"
        ),
        pytest.param(image("a", names=("r:5000/x:latest",)), Needed(names={"r:5000/x:latest"}), id="a unit names it"),
    ],
)
def test_what_is_needed_stays(kept: StoredImage, needed: Needed) -> None:
    other = image("b", names=("r:5000/y:latest",), digest=D2[:-1])
    assert gone(kept, other, needed=needed) == ["b"]


def test_what_an_image_was_built_on_stays_with_it() -> None:
    chain = (image("a"), image("b", "a"), image("c", "b", containers=1), image("d", "b"))
    assert gone(*chain) == ["d"]


def test_where_images_are_built_names_stay() -> None:
    named = image("b", "a", names=("localhost/mine:latest",))
    assert gone(image("a"), named, image("c", "a"), builder=True) == ["c"]
    assert gone(image("a"), named, image("c", "a"), builder=False) == ["c", "b", "a"]


def test_a_circle_of_parents_ends() -> None:
    assert sorted(gone(image("a", "b"), image("b", "a"))) == ["a", "b"]


def test_a_size_is_that_of_its_own_layers() -> None:
    removals = plan_prune((image("a", size=80), image("b", "a", size=83)), Needed(), builder=True)
    assert [(removal.image.id, removal.own) for removal in removals] == [("b", 3), ("a", 80)]


IMAGES = st.lists(st.integers(0, 7), min_size=1, max_size=8).flatmap(
    lambda parents: st.tuples(
        *(
            st.builds(
                image,
                st.just(f"i{number}"),
                st.just(f"i{parent}" if parent < number else ""),
                containers=st.integers(0, 1),
                names=st.sampled_from([(), (f"n{number}:latest",)]),
            )
            for number, parent in enumerate(parents)
        )
    )
)


@given(images=IMAGES, builder=st.booleans(), data=st.data())
def test_a_plan_can_be_carried_out_and_leaves_nothing_to_do(
    images: tuple[StoredImage, ...], builder: bool, data: st.DataObject
) -> None:
    removed = gone(*images, builder=builder)
    assert gone(*data.draw(st.permutations(images)), builder=builder) == removed, "the order given does not matter"
    there = {each.id: each for each in images}
    for identity in removed:
        assert not there[identity].containers
        assert not any(each.parent_id == identity for each in there.values()), "nothing is built on it any more"
        del there[identity]
    assert gone(*there.values(), builder=builder) == []


def test_the_archives_of_the_last_build_stay(tmp_path: Path) -> None:
    for name, age in (("base-a.tar", 3), ("base-b.tar", 1), ("wheels-a.tar", 2), ("engine-x.json", 9)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert [path.name for path in spare_archives(tmp_path)] == ["base-a.tar"]
