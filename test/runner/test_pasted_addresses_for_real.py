"""Pasted addresses on a machine: real git judges each that is understood, and settles what a text leaves open."""

from __future__ import annotations

import pytest

from app.protocol.events import LockMade
from app.protocol.refs import TREE, candidates
from app.standin.git_rules import MISSING
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from bench.addresses.repository_table import HASH, TABLE, Understood
from test.runner.rig import Rig, Run, git, names_in

pytestmark = pytest.mark.slow

HOSTS = (
    *("https://github.com/", "https://github.com:443/", "git@github.com:", "ssh://git@github.com/"),
    *("https://gitlab.com/", "https://bitbucket.org/", "https://codeberg.org/", "https://gitee.com/"),
    *("https://huggingface.co/", "https://huggingface.co/spaces/", "https://ghproxy.net/https://github.com/"),
)


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    """A pack with each kind of ref that an address can name."""
    made = make_pack(git_server, "o", "r", history=4, tags={"v1": 0, "v1.2.3": 1, "nodes/v1": 1, "v1.0.5": 2})
    bare = git_server.path_of("o", "r")
    for branch, number in (("dev", 1), ("master", 1), ("feature/x", 2), ("fix-#12", 0), ("\u5f00\u53d1", 1)):
        git(bare, "branch", branch, made.commits[number])
    for ref in ("refs/pull/12/head", "refs/pull/3/head", "refs/pr/3", "refs/merge-requests/7/head"):
        git(bare, "update-ref", ref, made.commits[2])
    return made


def test_each_address_of_the_table_that_is_understood_is_cloned(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """At the commit that git itself has under what the address names. Shortened hashes are another test's."""
    lead_here(rig, git_server)
    seen: dict[tuple[str, str | None], str] = {}
    for entry in TABLE:
        url = entry.url.replace("/a/b/c", "/o/r").replace("/a/b", "/o/r") if isinstance(entry, Understood) else ""
        short = isinstance(entry, Understood) and entry.ref in ("204f6d5", "2ee689")
        if isinstance(entry, Understood) and not short and url.startswith(HOSTS) and "o/r" in url:
            text = entry.text.replace("/a/b/c", "/o/r").replace("/a/b", "/o/r")
            seen.setdefault((url, entry.ref), text)
    commit = {(url, ref): commit_of(git_server, pack, ref) for url, ref in seen}
    here = {key: text.replace(HASH.upper(), HASH).replace(HASH, pack.commits[0]) for key, text in seen.items()}
    nodes = [{"name": f"pack{number}", "repo_url": text} for number, text in enumerate(here.values())]
    run = rig.install(nodes, schemes=["https", "ssh", "http"])  # where `lead_here` leads
    assert len(nodes) > 35
    found = run.snapshot().nodes
    assert [(text, found[f"pack{n}"].error) for n, text in enumerate(here.values()) if found[f"pack{n}"].error] == []
    assert {key: found[f"pack{n}"].commit for n, key in enumerate(here)} == commit


def test_a_branch_with_slashes_is_settled_by_the_repository(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """The longest branch or tag that exists; none of them is told with all; who cannot be asked is told as ever."""
    gone = make_pack(git_server, "o", "gone")
    git_server.set_rule("o/gone", MISSING)
    plain = make_pack(git_server, "o", "flat", files={"sub/own/__init__.py": "NODE_CLASS_MAPPINGS = {}\n"})
    pages = {
        "branch": (f"{pack.url}/tree/feature/x", pack.commits[2]),
        "folder": (f"{pack.url}/tree/feature/x/sub/folder", pack.commits[2]),
        "file": (f"{pack.url}/blob/main/docs/README.md", pack.commits[3]),
        "tag": (f"{pack.url}/tree/nodes/v1/docs", pack.commits[1]),
        "commit": (f"{pack.url}/tree/{pack.commits[0]}/docs", pack.commits[0]),
        "own": (f"{plain.url}/tree/main/sub/own", plain.commit),
        "none": (f"{pack.url}/tree/feature/y/z", None),
        "gone": (f"{gone.url}/tree/feature/y", None),
    }
    run = rig.install([{"name": name, "repo_url": url} for name, (url, _) in pages.items()])
    nodes = run.snapshot().nodes
    assert {name: nodes[name].commit for name in pages} == {name: commit for name, (_, commit) in pages.items()}
    assert run.state("none") == "failed bad_ref"
    assert nodes["none"].error is not None
    assert "'feature/y/z' or 'feature/y' or 'feature'" in nodes["none"].error.message
    assert run.state("gone") == "failed repository_not_found"
    told = [(w.code, "sub/own" in w.message) for w in run.snapshot().warnings if w.code != "listed_twice"]
    assert told == [("whole_repository", True)]
    assert names_in(rig.custom_nodes) == ["branch", "commit", "file", "folder", "own", "tag"]


def test_a_pull_request_is_cloned_kept_updated_and_installed_anew(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """And what is told, and the lock, is its commit. `/tree/feature/x` goes the same ways."""
    pages = {"pull": f"{pack.url}/pull/12/files", "branch": f"{pack.url}/tree/feature/x/docs"}
    nodes = [{"name": name, "repo_url": url} for name, url in pages.items()]
    assert commits(rig.install(nodes), pages) == {pack.commits[2]}
    for existing, number in (("update", 1), ("reinstall", 0)):
        for ref in ("refs/pull/12/head", "refs/heads/feature/x"):
            git(git_server.path_of("o", "r"), "update-ref", ref, pack.commits[number])
        asked = len(git_server.requests())
        kept = rig.install(nodes)
        assert len(git_server.requests()) - asked == 2, "one ls-remote: where the pull request is now"
        assert commits(kept, pages) == {pack.commits[number + 1]}
        assert kept.snapshot().nodes["branch"].kept
        assert commits(rig.install(nodes, options={"existing": existing}), pages) == {pack.commits[number]}
    lock = rig.install(nodes, options={"existing": "update"}).told(LockMade)[-1].lock
    assert [(made["repo_url"], made["commit"]) for made in lock["node_packs"]] == [(pack.url, pack.commits[0])] * 2
    planned = rig.install([{"name": "planned", "repo_url": f"{pack.url}/pull/12"}], options={"plan_only": True})
    assert planned.snapshot().nodes["planned"].commit == pack.commits[0]


def test_a_list_is_read_from_the_address_of_its_page(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Branch and path are told apart by the repository."""
    text = f"Name,RepoUrl\npack,{pack.url}/releases/tag/v1\n"
    made = make_pack(git_server, "o", "lists", files={"lists/nodes.csv": text})
    git(git_server.path_of("o", "lists"), "branch", "dev/new", made.commit)
    add_commit(git_server, made, {"lists/nodes.csv": "Name,RepoUrl\n"})
    source = {"repo": made.url, "ref": "tree:dev/new/lists", "path": "tree:dev/new/lists/nodes.csv"}
    run = rig.install(source)
    assert run.snapshot().nodes["pack"].commit == pack.commits[0]


def lead_here(rig: Rig, server: GitServer) -> None:
    """git on the machine finds the well-known sites at the stand-in's git server."""
    lines = [f'[url "{server.url}/"]', *(f"\tinsteadOf = {host}" for host in HOSTS)]
    (rig.home / ".gitconfig").write_text("\n".join(lines) + "\n")


def commit_of(server: GitServer, pack: Pack, ref: str | None) -> str:
    """What git has under the longest name that the ref can mean."""
    if ref == HASH:
        return pack.commits[0]
    for name in candidates(ref):
        full = [name] if name.startswith("refs/") else [f"refs/heads/{name}", f"refs/tags/{name}"]
        listed = git(server.folder, "ls-remote", str(server.path_of("o", "r")), *full)
        if listed:
            return listed.split()[0]
    assert ref is None or not ref.startswith(TREE), ref
    return pack.commit


def commits(run: Run, names: object) -> set[str | None]:
    """The commits that a run tells."""
    assert {state.state for state in run.snapshot().nodes.values()} == {"installed"}, run.said()
    return {made.commit for made in run.snapshot().nodes.values()}
