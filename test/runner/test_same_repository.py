"""One repository under several addresses and folder names: recognised, and never there twice without a word."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.standin.git_rules import MISSING, PRIVATE, RepoRule
from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.runner.rig import Rig, Run, git, names_in

pytestmark = pytest.mark.slow

NAME = "ComfyUI-KJ"
NEWER = {"keep": 0, "update": 1, "reinstall": 1}
"""The number of the commit that a clone of one commit ago has afterwards."""


@pytest.fixture
def pack(git_server: GitServer) -> Pack:
    """Its pyproject.toml does not name a repository."""
    return make_pack(git_server, "new-owner", NAME, history=2)


def moved(git_server: GitServer, old: str, to: str) -> str:
    """The old address of a repository that was renamed."""
    git_server.set_rule(old, RepoRule(moved_to=to))
    return f"{git_server.url}/{old}"


def install(rig: Rig, url: str, existing: str = "keep", name: str = NAME, **fields: object) -> Run:
    return rig.install([{"name": name, "repo_url": url, **fields}], options={"existing": existing})


def codes(run: Run) -> list[str]:
    return [warning.code for warning in run.snapshot().warnings]


def clone(rig: Rig, pack: Pack, name: str, origin: str = "", *, commits_back: int = 0) -> Path:
    """The pack as somebody has cloned it, some commits ago, from an address that may be another one now."""
    git(rig.custom_nodes, "clone", "-q", pack.url, name)
    folder = rig.custom_nodes / name
    git(folder, "reset", "-q", "--hard", f"HEAD~{commits_back}")
    git(folder, "remote", "set-url", "origin", origin or pack.url)
    return folder


def unpacked(rig: Rig, pack: Pack, name: str) -> Path:
    """The pack as a ZIP of it is unpacked, and what the user put there since."""
    folder = clone(rig, pack, name)
    shutil.rmtree(folder / ".git")
    (folder / "old.py").write_text("")
    (folder / "models").mkdir()
    (folder / "models" / "own.bin").write_text("mine")
    return folder


def asked(git_server: GitServer) -> int:
    """How often the server was asked which refs a repository has."""
    return sum(request.service == "info/refs" for request in git_server.requests())


# -- the folder of the list's name, from another address ---------------------------------------------------------------


@pytest.mark.parametrize("existing", ["keep", "update", "reinstall"])
def test_a_repository_that_has_moved_is_the_same_one(rig: Rig, git_server: GitServer, existing: str) -> None:
    """The folder has the old address and the list the new one, the other way round, or there were two moves. An update
    writes the new address into the folder, since somebody else may get the old name one day."""
    packs = {name: make_pack(git_server, "new-owner", name, history=2) for name in ("old", "new", "twice")}
    old = {name: moved(git_server, f"old-owner/{name}", pack.repo) for name, pack in packs.items()}
    older = moved(git_server, "older-owner/Nodes", "old-owner/twice")
    origins = {"old": old["old"], "new": packs["new"].url, "twice": older}
    urls = {"old": packs["old"].url, "new": old["new"], "twice": f"{packs['twice'].url}.git/"}
    for name, pack in packs.items():
        folder = clone(rig, pack, name, origins[name], commits_back=1)
        (folder / "mine.txt").write_text("mine")
    nodes = [{"name": name, "repo_url": url} for name, url in urls.items()]
    run = rig.install(nodes, options={"existing": existing})
    assert {name: run.state(name) for name in packs} == dict.fromkeys(packs, "installed")
    found = {name: node.commit for name, node in run.snapshot().nodes.items()}
    assert found == {name: pack.commits[NEWER[existing]] for name, pack in packs.items()}
    assert names_in(rig.custom_nodes) == sorted(packs)
    assert [(rig.custom_nodes / name / "mine.txt").read_text() for name in packs] == ["mine"] * 3
    assert codes(run) == (["repository_moved"] * 2 if existing == "update" else [])
    if existing == "update":
        remotes = {name: git(rig.custom_nodes / name, "remote", "get-url", "origin") for name in packs}
        assert remotes == {**{name: url.rstrip("/") for name, url in urls.items()}, "new": packs["new"].url}


def test_an_update_goes_by_the_lists_address_where_the_folders_own_is_no_more(
    rig: Rig, git_server: GitServer, pack: Pack
) -> None:
    """A proxy for downloads that has gone, an ssh address without a key for it, a login that is no longer good."""
    make_pack(git_server, "gone", NAME)
    git_server.set_rule(f"gone/{NAME}", PRIVATE)
    rig.environ["GIT_CONFIG_GLOBAL"] = str(rig.home / "gitconfig")
    rules = {
        f"{git_server.url}/": "https://github.com/",
        f"{git_server.url}/gone/": "git@github.com:new-owner/",
        f"{git_server.url.replace('//', '//me:secret@')}/gone/": "https://token@github.com/new-owner/",
    }
    (rig.home / "gitconfig").write_text(
        "".join(f'[url "{base}"]\n\tinsteadOf = {prefix}\n' for base, prefix in rules.items())
    )
    url = f"https://github.com/{pack.repo}"
    for gone in (
        f"http://127.0.0.1:9/{url}",
        f"git@github.com:{pack.repo}.git",
        f"https://token@github.com/{pack.repo}",
    ):
        folder = clone(rig, pack, NAME, gone, commits_back=1)
        run = install(rig, url, "update")
        assert (run.state(NAME), git(folder, "rev-parse", "HEAD")) == ("installed", pack.commit), gone
        shutil.rmtree(folder)


def test_the_machines_own_mirror_is_the_same_repository(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """By `url.….insteadOf` of the user, and by one in the checkout; nobody is asked."""
    (rig.home / ".gitconfig").write_text(f'[url "{git_server.url}/"]\n\tinsteadOf = https://github.com/\n')
    folder = clone(rig, pack, NAME)
    before = asked(git_server)
    run = install(rig, f"https://github.com/{pack.repo}")
    assert (run.state(NAME), asked(git_server)) == ("installed", before)
    (rig.home / ".gitconfig").unlink()
    git(folder, "config", f"url.{git_server.url}/.insteadOf", "https://github.com/")
    run = install(rig, f"https://github.com/{pack.repo}")
    assert (run.state(NAME), asked(git_server), codes(run)) == ("installed", before, [])


def test_a_fork_of_the_same_name_is_another_repository(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Whether it stands in the way or beside. What nobody can say is said, and with equal commits it is taken for the
    same."""
    shutil.copytree(git_server.path_of("new-owner", NAME), git_server.path_of("somebody", NAME))
    fork = f"{git_server.url}/somebody/{NAME}"
    folder = clone(rig, pack, NAME, fork)
    run = install(rig, pack.url)
    assert (run.state(NAME), codes(run)) == ("installed", ["same_by_commits"])
    work = clone(rig, pack, "work", str(git_server.path_of("somebody", NAME)))
    git(work, "commit", "-q", "--allow-empty", "-m", "theirs")
    git(work, "push", "-q", "origin", "HEAD:main")
    shutil.rmtree(work)
    for existing in ("keep", "update", "reinstall"):
        assert install(rig, pack.url, existing).state(NAME) == "failed name_taken"
    git_server.set_rule(f"somebody/{NAME}", MISSING)
    run = install(rig, pack.url)
    assert (run.state(NAME), codes(run)) == ("installed", ["same_by_commits"])  # all its commits are the pack's
    git(folder, "commit", "-q", "--allow-empty", "-m", "mine")
    error = install(rig, pack.url).snapshot().nodes[NAME].error
    assert error is not None
    assert "could not be found out" in error.message
    folder.rename(rig.custom_nodes / "the-fork")
    git_server.set_rule(f"somebody/{NAME}", RepoRule())
    run = install(rig, pack.url)
    assert (run.state(NAME), codes(run)) == ("installed", ["maybe_installed_twice"])


def test_a_redirect_gets_no_login_and_may_go_round_in_circles(
    rig: Rig, git_server: GitServer, pack: Pack, tmp_path: Path
) -> None:
    """The login in an old address is nobody else's business, wherever its server leads."""
    with GitServer(tmp_path / "elsewhere") as elsewhere:
        other = make_pack(elsewhere, "their", "Pack")
        elsewhere.set_rule(other.repo, PRIVATE)
        away = moved(git_server, f"away/{NAME}", other.url.replace("127.0.0.1", "localhost"))
        with_login = away.replace("//", "//me:secret@")
        folder = clone(rig, pack, NAME, with_login)
        git(folder, "commit", "-q", "--allow-empty", "-m", "mine")
        run = install(rig, pack.url)
        assert run.state(NAME) == "failed name_taken"
        assert elsewhere.requests()
        assert not any(request.with_login for request in [*elsewhere.requests(), *git_server.requests()])
        (rig.home / ".gitconfig").write_text(
            f'[url "{git_server.url.replace("//", "//me:secret@")}/"]\n\tinsteadOf = https://git.example/\n'
        )
        install(rig, f"https://git.example/away/{NAME}", name="other")
        assert not any(request.with_login for request in elsewhere.requests())
        said = run.journal.read_text() + "".join(path.read_text() for path in run.folder.rglob("*.log"))
        assert "secret" not in said
    round_about = moved(git_server, f"round/{NAME}", f"about/{NAME}")
    moved(git_server, f"about/{NAME}", f"round/{NAME}")
    git(folder, "remote", "set-url", "origin", round_about)
    assert install(rig, pack.url).state(NAME) == "failed name_taken"


# -- another folder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("existing", ["keep", "update", "reinstall"])
def test_a_clone_under_another_name_is_the_pack(rig: Rig, git_server: GitServer, pack: Pack, existing: str) -> None:
    """It is kept, updated or installed anew where it is, with what is in it; and a pack inside it finds it. A plan says
    so, and a lock finds it too."""
    name = "comfyui-kj"
    (rig.home / ".gitconfig").write_text(f'[url "{git_server.url}/"]\n\tinsteadOf = https://github.com/\n')
    inner = make_pack(git_server, "o", "inner")
    folder = clone(rig, pack, name, f"https://github.com/{pack.repo}.git", commits_back=1)
    (folder / "mine.txt").write_text("mine")
    nodes = [
        {"name": NAME, "repo_url": pack.url},
        {"name": "inner", "repo_url": inner.url, "subfolder": f"{NAME}/inner"},
    ]
    run = rig.install(nodes, options={"existing": existing})
    assert [run.state(each) for each in (NAME, "inner")] == ["installed", "installed"]
    found = run.snapshot().nodes[NAME]
    assert (found.commit, found.folder) == (pack.commits[NEWER[existing]], name)
    assert names_in(rig.custom_nodes) == [name]
    assert (folder / "mine.txt").read_text() == "mine"
    assert (folder / "inner" / ".git").exists()
    assert codes(run) == ["installed_under_other_name"]
    run = rig.install(nodes, options={"existing": existing, "plan_only": True})
    assert (codes(run), names_in(rig.custom_nodes)) == (["installed_under_other_name"], [name])
    entry = {"name": NAME, "repo_url": pack.url, "folder": NAME, "commit": pack.commits[0]}
    lock = {"format": 1, "node_packs": [entry], "packages": {}}
    run = rig.install({"lock": lock}, options={"existing": existing})
    assert (run.state(NAME), git(folder, "rev-parse", "HEAD")) == ("installed", pack.commits[0])
    assert names_in(rig.custom_nodes) == [name]


def test_a_renamed_repository_is_found_under_its_old_name(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """Only folders of the same owner or name are asked about, and only while the list names none of them."""
    old = moved(git_server, "new-owner/KJNodes", pack.repo)
    folder = clone(rig, pack, "KJNodes", old)
    run = install(rig, pack.url)
    assert (run.state(NAME), names_in(rig.custom_nodes)) == ("installed", ["KJNodes"])
    assert codes(run) == ["installed_under_other_name"]
    git(folder, "remote", "set-url", "origin", pack.url)
    run = install(rig, old, name="KJ-Old")
    assert (run.state("KJ-Old"), names_in(rig.custom_nodes)) == ("installed", ["KJNodes"])
    others = [make_pack(git_server, "other-owner", f"pack{number}") for number in range(3)]
    for each in others:
        clone(rig, each, each.name)
    before = asked(git_server)
    nodes = [{"name": each.name, "repo_url": each.url} for each in others]
    run = rig.install([*nodes, {"name": "KJNodes", "repo_url": pack.url}])
    assert (set(run.snapshot().nodes) - {each.name for each in others}, codes(run)) == ({"KJNodes"}, [])
    assert asked(git_server) == before


def test_a_clone_that_turns_out_to_be_there_is_not_put_in_place(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """A server leads its old name to a folder's repository, or the commit is that of a folder. What only calls itself
    the same in its pyproject.toml is told."""
    old = moved(git_server, "old-owner/Nodes", pack.repo)
    clone(rig, pack, "my-nodes", commits_back=1)
    run = install(rig, old, name="Nodes")
    assert (run.state("Nodes"), names_in(rig.custom_nodes)) == ("skipped same_repository", ["my-nodes"])
    shutil.copytree(git_server.path_of("new-owner", NAME), git_server.path_of("mirror", "Mirrored"))
    git(rig.custom_nodes / "my-nodes", "pull", "-q")
    run = install(rig, f"{git_server.url}/mirror/Mirrored", name="Mirrored")
    assert (run.state("Mirrored"), names_in(rig.custom_nodes)) == ("skipped same_repository", ["my-nodes"])
    project = {"pyproject.toml": '[project]\nversion = "1"\nname = "kj-nodes"\n\n[tool.comfy]\nname = "x"\n'}
    (rig.custom_nodes / "my-nodes" / "pyproject.toml").write_text(project["pyproject.toml"])
    run = install(rig, make_pack(git_server, "somebody", "Fork", files=project).url, name="Fork")
    assert (run.state("Fork"), codes(run)) == ("installed", ["maybe_installed_twice"])


def test_a_second_copy_that_is_there_already_is_told(rig: Rig, pack: Pack) -> None:
    """The run works in the folder that the list names. One whose name no list may have is only told."""
    clone(rig, pack, NAME)
    clone(rig, pack, "comfyui-kj")
    run = install(rig, pack.url)
    assert (run.state(NAME), codes(run)) == ("installed", ["installed_twice"])
    shutil.rmtree(rig.custom_nodes / NAME)
    (rig.custom_nodes / "comfyui-kj").rename(rig.custom_nodes / "what|a <name>")
    assert install(rig, pack.url).state(NAME) == "skipped same_repository"


def test_an_unpacked_archive_is_the_pack_without_its_repository(rig: Rig, git_server: GitServer) -> None:
    """It is left alone and told; a reinstall puts the repository in its place, and keeps what is the user's."""
    folders = ["A-main", "b-MASTER", "C-1.2.0", "D-main (1)", "E-0123abc", "F", "own"]
    packs = [make_pack(git_server, "o", name) for name in "ABCDEFG"]
    for name, pack in zip(folders, packs, strict=True):
        folder = unpacked(rig, pack, name)
        if name in {"F", "own"}:  # then only its pyproject.toml says so
            (folder / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{pack.url}"\n')
    nodes = [{"name": pack.name, "repo_url": pack.url} for pack in packs]
    for options in ({"existing": "update"}, {"existing": "keep", "plan_only": True}):
        run = rig.install(nodes, options=options)
        assert {run.state(pack.name) for pack in packs} == {"failed unpacked_copy"}
        assert names_in(rig.custom_nodes) == sorted(folders)
    run = rig.install(nodes, options={"existing": "reinstall"})
    assert {run.state(pack.name) for pack in packs} == {"installed"}
    assert names_in(rig.custom_nodes) == [".disabled", *"ABCDEFG"]
    for name, pack in zip(folders, packs, strict=True):
        new, aside = rig.custom_nodes / pack.name, rig.custom_nodes / ".disabled" / f"{name}@replaced"
        assert (new / "models" / "own.bin").read_text() == "mine"
        assert (aside / "old.py").exists()
        assert not (new / "old.py").exists()
    assert codes(run) == ["unpacked_copy_replaced"] * 7
    run = rig.install(nodes)
    assert {run.state(pack.name) for pack in packs} == {"installed"}


def test_a_registry_copy_and_a_disabled_clone_are_known_by_their_repository(
    rig: Rig, git_server: GitServer, pack: Pack
) -> None:
    """Also where it has moved since, and where their folders have the registry's name. One that is of another
    repository is in nobody's way."""
    old = moved(git_server, "old-owner/kj-nodes", pack.repo)
    folder = rig.custom_nodes / "comfyui-kj"
    folder.mkdir()
    (folder / ".tracking").write_text("")
    (folder / "pyproject.toml").write_text(f'[project]\nname = "comfyui-kj"\n[project.urls]\nRepository = "{old}"\n')
    run = install(rig, pack.url)
    assert (run.state(NAME), names_in(rig.custom_nodes)) == ("failed registry_copy", ["comfyui-kj"])
    assert install(rig, pack.url, name="comfyui-kj").state("comfyui-kj") == "failed registry_copy"
    git_server.set_rule("old-owner/kj-nodes", MISSING)
    assert install(rig, pack.url, name="comfyui-kj").state("comfyui-kj") == "failed registry_copy"
    shutil.rmtree(folder)
    (rig.custom_nodes / ".disabled").mkdir()
    disabled = clone(rig, pack, ".disabled/kj@nightly", f"{pack.url}.git")
    assert install(rig, pack.url).state(NAME) == "failed pack_disabled"
    disabled.rename(rig.custom_nodes / f"{NAME}.disabled")
    other = make_pack(git_server, "somebody", NAME)
    git(rig.custom_nodes / f"{NAME}.disabled", "remote", "set-url", "origin", other.url)
    assert install(rig, pack.url).state(NAME) == "installed"


# -- twice in one list -------------------------------------------------------------------------------------------------


def test_the_same_one_twice_in_a_list(rig: Rig, git_server: GitServer, pack: Pack) -> None:
    """In two spellings it is installed once, under two names twice, and both are told; one that a server leads to the
    other is left out, as told."""
    run = rig.install({"urls": [pack.url, f"{pack.url}.git/", pack.url.replace("new-owner", "New-Owner")]})
    assert (list(run.snapshot().nodes), codes(run)) == ([NAME], ["listed_twice"] * 2)
    shutil.rmtree(rig.custom_nodes / NAME)
    nodes = [{"name": NAME, "repo_url": pack.url}, {"name": "KJ", "repo_url": f"{pack.url}.git/"}]
    run = rig.install(nodes)
    assert ({run.state(each) for each in (NAME, "KJ")}, codes(run)) == ({"installed"}, ["listed_twice"])
    for each in (NAME, "KJ"):
        shutil.rmtree(rig.custom_nodes / each)
    old = moved(git_server, "old-owner/KJ", pack.repo)
    run = rig.install([{"name": "KJ", "repo_url": old}, {"name": NAME, "repo_url": pack.url}])
    assert (run.state("KJ"), run.state(NAME)) == ("skipped same_repository", "installed")
    assert names_in(rig.custom_nodes) == [NAME]
    error = run.snapshot().nodes["KJ"].error
    assert error is not None
    assert NAME in error.message
