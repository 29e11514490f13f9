"""Where packages came from, as a lock writes it, reads it and compares it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.request import check_manifest
from app.protocol.lockfile import read_lock
from app.protocol.manager_snapshot import write_snapshot
from app.protocol.other_files.read import read_snapshot
from app.protocol.package_sources import is_source, same_source, source_of
from app.runner.environment.environment import Distribution
from app.runner.lock.differences import differences
from app.runner.lock.origins import described
from app.runner.requirements.lines import canonical
from test.lock.test_forms import LOCK

COMMIT = "a" * 40
GIT = {"vcs_info": {"vcs": "git", "commit_id": COMMIT}}
HASH_OF_FILE = "sha256=" + "b" * 64


@pytest.mark.parametrize(
    ("direct_url", "address", "secret"),
    [
        (
            {"url": "https://h/o/p", **GIT},
            f"git+https://h/o/p@{COMMIT}",
            False,
        ),
        (
            {"url": "ssh://git@h/o/p.git", **GIT, "subdirectory": "in/it"},
            f"git+ssh://git@h/o/p.git@{COMMIT}#subdirectory=in/it",
            False,
        ),
        (
            {"url": "ssh://me:word@h/o/p", **GIT},
            f"git+ssh://me@h/o/p@{COMMIT}",
            True,
        ),
        (
            {"url": "https://:@h/o/p", **GIT},
            f"git+https://h/o/p@{COMMIT}",
            False,
        ),
        (
            {"url": "https://${TOKEN}@h/o/p", **GIT},
            f"git+https://h/o/p@{COMMIT}",
            True,
        ),
        ({"url": "https://h/o/p", "vcs_info": {"vcs": "hg", "commit_id": COMMIT}}, None, False),
        ({"url": "https://h/o/p", "vcs_info": {"vcs": "git"}}, None, False),
        (
            {"url": "https://h/a.whl", "archive_info": {"hash": "sha256=" + "b" * 64}},
            f"https://h/a.whl#{HASH_OF_FILE}",
            False,
        ),
        (
            {
                "url": "https://h/a.zip",
                "archive_info": {"hashes": {"md5": "x", "sha256": "b" * 64}},
                "subdirectory": "s",
            },
            f"https://h/a.zip#{HASH_OF_FILE}&subdirectory=s",
            False,
        ),
        ({"url": "https://h/a.whl?X-Amz-Signature=abc&x=1", "archive_info": {}}, "https://h/a.whl", True),
        ({"url": "https://h/a.whl?download=true", "archive_info": {}}, "https://h/a.whl?download=true", False),
        ({"url": "https://h/ghp_0123456789abcdef0123/a.whl", "archive_info": {}}, None, False),
        ({"url": "s3://h/a.whl", "archive_info": {}}, None, False),
        ({"url": "https://[h/a.whl", "archive_info": {}}, None, False),
    ],
)
def test_where_a_package_came_from_as_an_address(direct_url: dict[str, Any], address: str | None, secret: bool) -> None:
    """As PEP 610 has it; without what is nobody else's business."""
    found = source_of(direct_url)
    assert (found and found.address) == address
    assert found is None or (found.had_secret is secret and is_source(found.address))


def test_two_addresses_of_the_same() -> None:
    """A commit is the same wherever it lies; so is a file by its hash."""
    commit, other = f"git+https://h/o/p@{COMMIT}", f"git+ssh://git@mirror/o/p.git@{COMMIT}"
    assert same_source(commit, other)
    assert not same_source(commit, f"git+https://h/o/p@{'b' * 40}")
    assert not same_source(commit, f"{commit}#subdirectory=x")
    assert same_source(f"https://h/a.whl#{HASH_OF_FILE}", f"https://mirror/a.whl#{HASH_OF_FILE}")
    assert same_source(f"https://h/a.whl#{HASH_OF_FILE}", "https://h/a.whl")
    assert not same_source("https://h/a.whl", "https://h/b.whl")
    assert not same_source(commit, None)


NAMES = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
WORDS = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
COMMITS = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
VCS = st.sampled_from(["git", "hg"])
LOGINS = st.sampled_from(["", "git@", "me:word@", "${TOKEN}@", ":@"])
URLS = st.builds(
    "{}://{}{}.example/{}".format, st.sampled_from(["https", "http", "ssh", "file", "s3"]), LOGINS, WORDS, WORDS
)
ORIGINS = st.none() | st.builds(
    lambda url, kind, inner: {"url": url, **kind, **({"subdirectory": inner} if inner else {})},
    URLS,
    st.builds(
        lambda commit, vcs: {"vcs_info": {"vcs": vcs, "commit_id": commit}}, COMMITS, st.sampled_from(["git", "hg"])
    )
    | st.just({"archive_info": {}})
    | st.builds(lambda word: {"archive_info": {"hash": "sha256=" + word * 64}}, st.sampled_from("0af"))
    | st.builds(lambda flag: {"dir_info": {"editable": flag}}, st.booleans()),
    st.none() | WORDS,
)
VERSIONS = st.sampled_from(["1.0", "2!1.0rc1+cu128", "1.1build1", "0~git2020", "49.6.0.post", "1 2", "é"])
DISTRIBUTIONS = st.lists(
    st.builds(Distribution, NAMES | st.just("odd name"), VERSIONS, direct_url=ORIGINS),
    max_size=8,
    unique_by=lambda found: canonical(found.name),
)


@given(DISTRIBUTIONS)
def test_what_a_run_writes_is_read_back_whole(found: list[Distribution]) -> None:
    """Every package, with its version and its place; and no login."""
    written = json.loads(json.dumps({**LOCK, **described({canonical(each.name): each for each in found})}))
    assert "word" not in json.dumps(written["sources"]) and "TOKEN" not in json.dumps(written)
    lock = read_lock(check_manifest({"lock": written}, ["https"], "list.csv")["lock"], ["https"])  # type: ignore[index]
    assert [lock.packages, lock.sources] == [written["packages"], written["sources"]]
    assert [asdict(each) for each in lock.only_there] == written["only_there"]
    assert {*lock.packages, *(each.name for each in lock.only_there)} == {each.name for each in found}
    assert differences(lock, {canonical(each.name): each for each in found}) == []


def test_a_managers_snapshot_names_places_as_pip_does() -> None:
    """`pip freeze` writes an address without a version."""
    address = f"git+https://github.com/openai/CLIP.git@{COMMIT}"
    lock = {**LOCK, "packages": {"numpy": "2.1.0", "clip": "1.0"}, "sources": {"clip": address}}
    written = write_snapshot(lock)
    assert written["pips"] == {f"clip @ {address}": "", "numpy==2.1.0": ""}
    again = read_snapshot(written, ["https"])
    assert (again["packages"], again["sources"], again["left_out"]) == ({"numpy": "2.1.0"}, {"clip": address}, [])
    pins = [item.pin for item in differences(read_lock(again, ["https"]), {})]
    assert pins == [f"clip @ {address}", "numpy==2.1.0"]
