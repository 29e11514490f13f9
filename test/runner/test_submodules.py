"""Submodules whose addresses are an author's own: ssh, git's old protocol, relative ones, moved ones, none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from app.standin.git_rules import MISSING, PRIVATE, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import Pack, add_commit, make_pack
from app.standin.sshd import SshServer
from test.runner.rig import Rig, Run, git, node

pytestmark = pytest.mark.slow


def modules(**urls: str) -> str:
    return "".join(f'[submodule "{name}"]\n\tpath = {name}\n\turl = {url}\n' for name, url in urls.items())


def make(server: GitServer, name: str, inner: Mapping[str, Pack], **urls: str) -> Pack:
    """A pack with submodules that have these addresses."""
    return make_pack(server, "o", name, submodules=inner, files={".gitmodules": modules(**urls)})


def message(run: Run, name: str) -> str:
    error = run.snapshot().nodes[name].error
    return error.message if error else ""


@pytest.fixture
def web(rig: Rig, git_server: GitServer) -> Rig:
    """A machine that reaches https://github.com/ at the stand-in, by a mirror in its own configuration, and nothing by
    ssh."""
    settings = rig.home / ".gitconfig"
    git(rig.home, "config", "--file", str(settings), f"url.{git_server.url}/.insteadOf", "https://github.com/")
    rig.environ["GIT_SSH_COMMAND"] = "false"
    return rig


def test_ssh_addresses_of_public_repositories_are_tried_by_https(web: Rig, git_server: GitServer) -> None:
    """Each form, nested ones too, relative ones below, in a clone and an update; the mirror of the machine's own
    configuration counts, which nobody changes."""
    leaf = make_pack(git_server, "o", "leaf")
    inner = make(
        git_server, "inner", {"near": leaf, "deep": leaf}, near="../leaf.git", deep="git@github.com:o/leaf.git"
    )
    forms = {
        "scp": "git@github.com:o/inner.git",
        "ssh": "ssh://git@github.com/o/inner",
        "port": "ssh://git@ssh.github.com:443/o/inner.git",
        "old": "git://github.com/o/inner.git",
        "bare": "github.com:o/inner.git",
    }
    pack = make(git_server, "pack", dict.fromkeys(forms, inner), **forms)
    before = (web.home / ".gitconfig").read_text()
    git(web.custom_nodes, "clone", "-q", pack.url, "there")
    run = web.install([node(pack), node(pack, name="there")], options={"existing": "update"})
    assert run.state("pack") == run.state("there") == "installed", message(run, "pack")
    for name in ("pack", "there"):
        found = {
            path.parent.relative_to(web.custom_nodes / name) for path in (web.custom_nodes / name).rglob("VERSION")
        }
        wanted = {Path(form, *below) for form in forms for below in ((), ("near",), ("deep",))}
        assert found == {Path(), *wanted}, name
    assert (web.home / ".gitconfig").read_text() == before
    kept = git(web.custom_nodes / "pack", "config", "--get", "submodule.scp.url")
    assert kept == "git@github.com:o/inner.git"


def test_relative_addresses_follow_a_repository_that_moved(rig: Rig, git_server: GitServer) -> None:
    """The old address redirects, and the submodule is only at the new owner."""
    library = make_pack(git_server, "new", "library")
    files = {".gitmodules": modules(lib="../library.git")}
    make_pack(git_server, "new", "pack", submodules={"lib": library}, files=files)
    git_server.set_rule("old/pack", RepoRule(moved_to="new/pack"))
    run = rig.install([{"name": "pack", "repo_url": f"{git_server.url}/old/pack"}])
    assert run.state("pack") == "installed", message(run, "pack")
    assert (rig.custom_nodes / "pack" / "lib" / "VERSION").exists()


def test_what_cannot_be_had_is_named_with_its_reason(web: Rig, git_server: GitServer) -> None:
    """Each for itself, nested ones with their path, one without an address; the others come."""
    good, gone, private = (make_pack(git_server, "o", name) for name in ("good", "gone", "private"))
    git_server.set_rule("o/gone", MISSING)
    git_server.set_rule("o/private", PRIVATE)
    inner = {"one": gone, "two": good, "three": gone}
    outer = make(git_server, "outer", inner, one=gone.url, two=good.url, three=gone.url)
    packs = [
        make(git_server, "nested", {"outer": outer, "good": good}, outer=outer.url, good=good.url),
        make(git_server, "secret", {"lib": private, "good": good}, lib=private.url, good=good.url),
        make(git_server, "nowhere", {"lib": good, "good": good}, good=good.url),
        make(git_server, "by-ssh", {"lib": gone, "good": good}, lib="git@github.com:o/gone.git", good=good.url),
    ]
    run = web.install([node(pack) for pack in packs])
    told = {pack.name: message(run, pack.name) for pack in packs}
    assert {run.state(pack.name) for pack in packs} == {"installed submodule_missing"}, told
    assert f"outer/one of {gone.url} (The repository does not exist" in told["nested"]
    assert "outer/three of " in told["nested"]
    assert "(The repository does not exist, or it is private" in told["secret"]
    assert "lib (it has no address in .gitmodules)" in told["nowhere"]
    assert "lib of git@github.com:o/gone.git (" in told["by-ssh"]
    for path in ("nested/outer/two", "nested/good", "secret/good", "nowhere/good", "by-ssh/good"):
        assert (web.custom_nodes / path / "VERSION").exists(), path


def test_a_submodule_that_moved_is_followed_by_an_update(rig: Rig, git_server: GitServer) -> None:
    """The newer .gitmodules has another address; the old repository is gone."""
    old, new = make_pack(git_server, "o", "old"), make_pack(git_server, "o", "new")
    pack = make(git_server, "pack", {"lib": old}, lib=old.url)
    rig.install([node(pack)])
    git_server.set_rule("o/old", MISSING)
    add_commit(git_server, pack, {".gitmodules": modules(lib=new.url), "new.txt": "new"})
    bare = git_server.path_of("o", "pack")
    env = {**os.environ, "GIT_INDEX_FILE": str(rig.home / "index")}
    for args in (["read-tree", "main"], ["update-index", "--cacheinfo", f"160000,{new.commit},lib"]):
        subprocess.run(["git", *args], cwd=bare, env=env, check=True)
    tree = subprocess.run(["git", "write-tree"], cwd=bare, env=env, check=True, capture_output=True, text=True).stdout
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-m", "n", "-p", "main", tree.strip()))
    run = rig.install([node(pack)], options={"existing": "update"})
    assert run.state("pack") == "installed", message(run, "pack")
    assert git(rig.custom_nodes / "pack" / "lib", "rev-parse", "HEAD") == new.commit


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshServer]:
    server = SshServer(tmp_path / "sshd", set_env={"A": "b"})
    server.prepare()
    server.start()
    yield server
    server.stop()


@pytest.mark.sshd
def test_git_servers_that_let_nobody_in_have_words_of_their_own(
    rig: Rig, git_server: GitServer, sshd: SshServer
) -> None:
    """By real ssh: a host key that is not known, or another one; no key. By http: 401, 403, 404, 429, an unknown name,
    a port where nobody listens; and no ssh at all."""
    known = rig.home / "known_hosts"
    rig.environ["GIT_SSH_COMMAND"] = f"ssh -F /dev/null -o UserKnownHostsFile={known} -o IdentityAgent=none"
    by_ssh = {"name": "ssh", "repo_url": f"ssh://git@127.0.0.1:{sshd.port}/o/n.git"}

    def tried() -> tuple[str, str]:
        run = rig.install([by_ssh], schemes=["http", "https", "ssh"])
        error = run.snapshot().nodes["ssh"].error
        assert error is not None
        return error.code, f"{error.message} {error.hint}"

    told = [tried()]
    scan = ["ssh-keyscan", "-p", str(sshd.port), sshd.host]
    known.write_text(subprocess.run(scan, capture_output=True, text=True, check=True).stdout)
    told.append(tried())
    sshd.stop()
    sshd.change_host_key()
    sshd.start()
    told.append(tried())
    rig.environ["GIT_SSH_COMMAND"] = "no-such-ssh"
    told.append(tried())
    assert [code for code, _ in told] == [
        "git_host_key_unknown",
        "needs_login",
        "git_host_key_unknown",
        "program_missing",
    ]
    assert len({words for _, words in told}) == 4
    assert all("https address" in words for _, words in told)
    assert "ssh-keyscan" in told[0][1]
    assert "not the one that the instance has noted" in told[2][1]
    statuses = {401: "repository_not_found_or_private", 403: "git_access_denied", 404: "repository_not_found"}
    for status in (*statuses, 429):
        git_server.set_rule(f"o/s{status}", RepoRule(status=status))
    nodes = [{"name": f"s{status}", "repo_url": f"{git_server.url}/o/s{status}"} for status in (*statuses, 429)]
    nodes.append({"name": "dns", "repo_url": "http://git.example.invalid/o/n"})
    run = rig.install(nodes)
    got = {entry["name"]: run.state(entry["name"]) for entry in nodes}
    assert got == {
        **{f"s{status}": f"failed {code}" for status, code in statuses.items()},
        "s429": "failed rate_limited",
        "dns": "failed host_not_reached",
    }
