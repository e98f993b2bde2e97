"""Registries that keep each other equal, through deaths, losses, lies and contradictions. Real registries and gates."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from inaetics.containers.gate_collect import BUNDLES
from inaetics.containers.registries import prune, states
from inaetics.containers.replicate_http import Refused
from inaetics.errors import InaeticsError, NotFound
from tests.support.eventually import eventually
from tests.support.gates import GatedRegistry, digest_of, gates

REPOSITORY = "inaetics/hello"


@pytest.fixture(scope="module")
def three() -> Iterator[list[GatedRegistry]]:
    """Three registries; a test leaves them running, and uses repositories of its own."""
    with gates(3) as made:
        yield made


def everywhere(registries: list[GatedRegistry], repository: str, tag: str, digest: str) -> None:
    """Wait until the tag means this digest on all of them."""

    def agree() -> bool:
        try:
            found = {each.name: each.meaning(repository, tag) for each in registries}
        except InaeticsError as error:  # docker-registry says 500 of what it is just writing
            raise AssertionError(str(error)) from error
        assert set(found.values()) == {digest}, found
        return True

    eventually(agree, within_s=60, what=f"{repository}:{tag} means {digest} everywhere")


def test_a_push_to_one_is_soon_on_all_with_its_content(three: list[GatedRegistry]) -> None:
    content = os.urandom(3_000_000)
    digest = three[1].push(REPOSITORY, "latest", content)
    everywhere(three, REPOSITORY, "latest", digest)
    assert {each.content(REPOSITORY, digest) for each in three} == {content}


def test_a_tag_that_moves_moves_everywhere_and_what_it_meant_stays(three: list[GatedRegistry]) -> None:
    old = three[0].push("moving", "latest", b"old")
    everywhere(three, "moving", "latest", old)
    new = three[2].push("moving", "latest", b"new")
    everywhere(three, "moving", "latest", new)
    assert [each.content("moving", old) for each in three] == [b"old"] * 3


def test_layers_that_are_here_are_not_fetched_again(three: list[GatedRegistry]) -> None:
    content = os.urandom(500_000)
    everywhere(three, "base", "latest", three[0].push("base", "latest", content))
    digest = three[0].push("derived", "latest", content)
    everywhere(three, "derived", "latest", digest)

    def copied(one: GatedRegistry) -> list[int]:
        return [line["bytes"] for line in one.log() if line.get("repository") == "derived" and "bytes" in line]

    eventually(lambda: all(map(copied, three[1:])), within_s=30, what="both say what they copied")
    assert max(size for each in three[1:] for size in copied(each)) < 10_000


def test_one_that_was_down_and_one_that_lost_its_disk_catch_up(three: list[GatedRegistry]) -> None:
    first, second, third = three
    before = first.push("absent", "v1", b"before")
    everywhere(three, "absent", "v1", before)
    second.kill()
    third.kill()
    third.wipe()
    while_down = first.push("absent", "v2", b"while they were down")
    second.start()
    third.start()
    everywhere(three, "absent", "v2", while_down)
    everywhere(three, "absent", "v1", before)


def test_what_is_damaged_on_a_disk_is_noticed_at_the_next_start_and_copied_anew(three: list[GatedRegistry]) -> None:
    content = os.urandom(100_000)
    digest = three[0].push("damaged", "latest", content)
    everywhere(three, "damaged", "latest", digest)
    three[1].kill()
    os.truncate(three[1].blob(digest_of(content)), 50_000)
    three[1].start()
    eventually(lambda: three[1].blob(digest_of(content)).read_bytes() == content, within_s=30, what="it is whole again")
    everywhere(three, "damaged", "latest", digest)
    assert three[1].content("damaged", "latest") == content


def test_two_that_were_apart_agree_on_the_later_push(three: list[GatedRegistry]) -> None:
    first, second, third = three
    second.kill()
    third.kill()
    first.push("apart", "latest", b"earlier")
    other = first.push("apart", "only-here", b"earlier too")
    first.kill()
    second.start()
    later = second.push("apart", "latest", b"later")
    first.start()
    third.start()
    everywhere(three, "apart", "latest", later)
    everywhere(three, "apart", "only-here", other)


def test_a_removed_tag_stays_removed(three: list[GatedRegistry]) -> None:
    first, second, third = three
    everywhere(three, "removed", "latest", first.push("removed", "latest", b"to go"))
    third.kill()
    with first.client().asked("DELETE", "/v2/removed/manifests/latest"):
        pass
    third.start()
    everywhere(three, "removed", "latest", "")
    again = second.push("removed", "latest", b"back")
    everywhere(three, "removed", "latest", again)


def test_a_registry_that_lies_is_named_and_not_copied_from() -> None:
    with gates(2, start=False) as (liar, honest):
        liar.start()
        content = b"a true word " * 1000
        digest = liar.push(REPOSITORY, "latest", content)
        victim = liar.blob(digest_of(content))
        victim.write_bytes(victim.read_bytes().replace(b"t", b"T", 1))
        honest.start()
        eventually(lambda: _lies_named(honest) == 1, within_s=30, what="the lie about a layer is named")
        assert (honest.meaning(REPOSITORY, "latest"), honest.meaning(REPOSITORY, digest)) == ("", "")
        assert liar.address in next(each["trouble"] for each in honest.state()["peers"])
        honest.kill()
        victim.write_bytes(content)
        victim = liar.blob(digest)
        victim.write_bytes(victim.read_bytes().replace(b" ", b"\n", 1))
        honest.start()
        eventually(lambda: _lies_named(honest) == 2, within_s=30, what="the lie about a manifest is named")
        assert (honest.meaning(REPOSITORY, "latest"), honest.meaning(REPOSITORY, digest)) == ("", "")


def _lies_named(registry: GatedRegistry) -> int:
    return sum("lies" in line.get("reason", "") for line in registry.log())


def test_a_push_cut_in_the_middle_shows_nothing_and_the_next_works(three: list[GatedRegistry]) -> None:
    content = os.urandom(2_000_000)
    client = three[0].client()
    with client.asked("POST", "/v2/cut/blobs/uploads/") as answer:
        location = "/v2/" + answer.getheader("Location", "").partition("/v2/")[2]
    connection = client.connection(10)
    connection.putrequest("PUT", f"{location}&digest={digest_of(content)}")
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders()
    connection.send(content[:1_000_000])
    connection.close()
    uploads = three[0].data / "docker/registry/v2/repositories/cut/_uploads"
    eventually(lambda: list(uploads.iterdir()) == [], within_s=20, what="nothing of it is left on the disk")
    assert not client.has_blob("cut", digest_of(content))
    assert three[0].meaning("cut", "latest") == ""
    everywhere(three, "cut", "latest", three[0].push("cut", "latest", content))


def test_garbage_goes_while_images_are_pulled_and_what_is_needed_stays(three: list[GatedRegistry]) -> None:
    needed, garbage, tagged = (three[0].push("pruned", "latest", os.urandom(200_000)) for _ in range(3))
    for digest in (needed, garbage, tagged):
        everywhere(three, "pruned", digest, digest)
    everywhere(three, "pruned", "latest", tagged)
    addresses = [each.address for each in three]
    young = prune(addresses, three[0].operator, [needed], older_than_s=3600)
    assert [each.manifests for each in young] == [()] * 3
    gone = prune(addresses, three[0].operator, [needed], older_than_s=0)
    assert {name for each in gone for name in each.manifests} >= {f"pruned@{garbage}"}
    assert all(each.bytes >= 200_000 for each in gone)
    assert {each.meaning("pruned", garbage) for each in three} == {""}
    for each in three:
        assert each.content("pruned", needed)
        assert each.content("pruned", "latest")
    # What was collected can be pushed again at once: the registry does not believe that it still has it.
    again = three[0].push("pruned", "again", b"x" * 1000)
    everywhere(three, "pruned", "again", again)


def test_archives_of_bundles_go_when_nobody_knows_them_whatever_their_tags_say(three: list[GatedRegistry]) -> None:
    """Those of a version that was replaced have no tag any more, and may be needed."""
    repository, address = f"{BUNDLES}pruned", [each.address for each in three]
    contents = {name: os.urandom(50_000) for name in ("replaced", "newest", "removed", "outlived")}
    tags = {"replaced": "1.0.0", "outlived": "1.0.0", "newest": "1.0.0", "removed": "2.0.0"}
    digests = {}
    for name, tag in tags.items():
        digests[name] = three[0].push(repository, tag, contents[name])
        everywhere(three, repository, digests[name], digests[name])
    everywhere(three, repository, "1.0.0", digests["newest"])
    everywhere(three, repository, "2.0.0", digests["removed"])
    known = [digest_of(contents[name]) for name in ("replaced", "newest")]

    def pruned(**how: Any) -> set[str]:
        found = prune(address, three[0].operator, [], **how)
        assert not any(each.trouble for each in found)
        return {name for each in found for name in each.manifests if name.startswith(repository)}

    assert pruned(older_than_s=0, dry_run=True) == set(), "without knowing what is known, nothing of bundles goes"
    assert pruned(older_than_s=3600, archives=known, dry_run=True) == set(), "they are young"
    gone = {f"{repository}@{digests[name]}" for name in ("removed", "outlived")}
    assert pruned(older_than_s=0, archives=known, dry_run=True) == gone
    assert three[0].meaning(repository, "2.0.0") == digests["removed"]
    assert pruned(older_than_s=0, archives=known) == gone
    for each in three:
        assert each.meaning(repository, "2.0.0") == ""
        assert each.meaning(repository, "1.0.0") == digests["newest"]
        for name, content in contents.items():
            there = name in ("replaced", "newest")
            assert each.client().has_blob(repository, digest_of(content)) is there, (each.name, name)
    everywhere(three, repository, "2.0.0", three[0].push(repository, "2.0.0", contents["removed"]))


def test_only_who_may_push_collects_garbage(three: list[GatedRegistry]) -> None:
    refused = prune([three[0].address], three[1].reader, [])
    assert "may not collect garbage" in refused[0].trouble


def test_the_state_of_all_tells_which_is_silent(three: list[GatedRegistry]) -> None:
    three[2].kill()
    found = states([each.address for each in three], three[0].reader)
    three[2].start()
    assert [each.answers for each in found] == [True, True, False]
    assert "does not answer" in found[2].trouble
    assert found[0].free > 0


def test_a_disk_without_room_refuses_and_goes_on_serving() -> None:
    with gates(2, start=False) as (first, second):
        first.start()
        digest = first.push(REPOSITORY, "latest", b"there was room")
        # The gate as on a disk with 100 MB left, of which it keeps more than that for others.
        full = "import inaetics.containers.replicate_room as f, inaetics.containers.gate_main as g; f.ROOM = 1 << 62"
        second.start(gate=("-c", f"{full}; g.main()"))
        eventually(lambda: "is full" in json.dumps(second.state()["peers"]), within_s=30, what="the full disk is told")
        with pytest.raises(Refused, match=r"\(507\).*is full.*inaetics image prune"):
            second.push(REPOSITORY, "latest", b"no room")
        assert first.content(REPOSITORY, digest) == b"there was room"
        second.kill()
        second.start()
        everywhere([first, second], REPOSITORY, "latest", digest)


def test_a_repository_that_was_never_pushed_is_not_found(three: list[GatedRegistry]) -> None:
    with pytest.raises(NotFound):
        three[0].client().manifest("never", "latest")
    shutil.rmtree(three[0].data / "nothing", ignore_errors=True)
