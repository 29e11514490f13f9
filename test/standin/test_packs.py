"""Packs are real repositories, made quickly, the same each time."""

from __future__ import annotations

import csv
import io
import os
import subprocess
from pathlib import Path

import pytest

from app.standin.csv_packs import LARGEST, SMALLEST, custom_nodes_csv_packs, spread_sizes
from app.standin.demo_packs import make_demo_packs
from app.standin.git_server import GitServer
from app.standin.packs import PackSource, add_commit, make_pack
from test.standin.test_git_server import git


def files_of(folder: Path) -> set[str]:
    """The names at a clone's top."""
    return {path.name for path in folder.iterdir()} - {".git"}


def test_it_works(git_server: GitServer, tmp_path: Path) -> None:
    """A pack has nodes, requirements, a script and a payload, and imports what it is told to."""
    source = PackSource(
        requirements="humanize\n",
        imports=("json",),
        install_py="print('hi')\n",
        payload_bytes=500_000,
        files={"n.py": ""},
    )
    pack = make_pack(git_server, "owner", "Comfy-Pack", source)
    assert git("clone", "-q", pack.url, tmp_path / "c").returncode == 0
    assert files_of(tmp_path / "c") >= {"__init__.py", "requirements.txt", "install.py", "models", "n.py"}
    assert sum(path.stat().st_size for path in (tmp_path / "c" / "models").iterdir()) == 500_000
    found: dict[str, object] = {}
    exec((tmp_path / "c" / "__init__.py").read_text(), found)
    assert found["NODE_CLASS_MAPPINGS"]
    assert found["json"]


def test_the_same_source_gives_the_same_commits(git_server: GitServer) -> None:
    """Two packs of one source differ in nothing that git sees."""
    source = PackSource(history=3, tags={"v1": 0})
    one, two = (make_pack(git_server, owner, "pack", source) for owner in ("a", "b"))
    assert one.commits == two.commits
    assert len(set(one.commits)) == 3


def test_a_repository_is_sound(git_server: GitServer) -> None:
    """git's own check has nothing to say."""
    library = make_pack(git_server, "o", "library")
    pack = make_pack(git_server, "o", "p", payload_bytes=50_000, history=2, tags={"v1": 0}, submodules={"lib": library})
    done = subprocess.run(
        ["git", "--git-dir", git_server.path_of("o", "p"), "fsck", "--strict"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert pack.github_url == "https://github.com/o/p"


def test_tags_and_branches_lead_to_their_commits(git_server: GitServer, tmp_path: Path) -> None:
    """A tag is the version that it names."""
    pack = make_pack(git_server, "o", "p", history=3, tags={"v2": 1})
    git("clone", "-q", "--branch", "v2", pack.url, tmp_path / "c")
    assert git("-C", tmp_path / "c", "rev-parse", "HEAD").stdout.strip() == pack.commits[1]
    assert (tmp_path / "c" / "VERSION").read_text() == "2\n"


def test_a_submodule_comes_with_it(git_server: GitServer, tmp_path: Path) -> None:
    """A recursive clone brings the other pack's files, at the recorded commit."""
    library = make_pack(git_server, "o", "library", files={"answer.py": "ANSWER = 42\n"})
    pack = make_pack(git_server, "o", "p", submodules={"vendor/library": library})
    clone = ("clone", "-q", "--depth", "1", "--recurse-submodules", "--shallow-submodules")
    assert git(*clone, pack.url, tmp_path / "c").returncode == 0
    assert "answer.py" in files_of(tmp_path / "c" / "vendor" / "library")


def test_a_new_commit_is_an_update(git_server: GitServer, tmp_path: Path) -> None:
    """A clone that was there can pull it."""
    pack = make_pack(git_server, "o", "p", files={"a.txt": "old"})
    git("clone", "-q", pack.url, tmp_path / "c")
    newer = add_commit(git_server, pack, {"a.txt": "new"})
    assert git("-C", tmp_path / "c", "pull", "-q").returncode == 0
    assert (tmp_path / "c" / "a.txt").read_text() == "new"
    assert git("-C", tmp_path / "c", "rev-parse", "HEAD").stdout.strip() == newer.commit
    assert newer.commits[:-1] == pack.commits


def test_a_broken_pack_raises_what_it_is_told(git_server: GitServer, tmp_path: Path) -> None:
    """Its import is the fault that a test wants."""
    pack = make_pack(git_server, "o", "p", broken_import="RuntimeError('no GPU')")
    git("clone", "-q", pack.url, tmp_path / "c")
    assert "raise RuntimeError('no GPU')" in (tmp_path / "c" / "__init__.py").read_text()


def test_a_csv_gets_its_repositories(git_server: GitServer, tmp_path: Path) -> None:
    """Each row's owner and name is served, but for the missing and the private one."""
    rows = [f"Pack{n},https://github.com/owner{n}/Pack{n}{'.git' * (n % 2)},,{'r.txt' * (n % 2)}" for n in range(6)]
    text = "\n".join(["Name,RepoUrl,Subfolder,RequirementsFile", *rows])
    made = custom_nodes_csv_packs(git_server, text, lambda _: 1000, missing=("Pack2",), private=("Pack3",))
    assert sorted(made.packs) == ["Pack0", "Pack1", "Pack4", "Pack5"]
    clone = git(
        "-c", f"url.{git_server.url}/.insteadOf=https://github.com/", "clone", rows[1].split(",")[1], tmp_path / "c"
    )
    assert clone.returncode == 0
    assert "r.txt" in files_of(tmp_path / "c")
    assert "not found" in git("clone", f"{git_server.url}/owner2/Pack2", tmp_path / "x").stderr
    assert "Username" in git("clone", f"{git_server.url}/owner3/Pack3", tmp_path / "y").stderr


def test_sizes_are_spread_and_always_the_same() -> None:
    """From the smallest to the largest, whatever the order of the names."""
    names = [f"pack{number}" for number in range(34)]
    sizes = {name: spread_sizes(names)(name) for name in names}
    assert (min(sizes.values()), max(sizes.values())) == (SMALLEST, LARGEST)
    assert sizes == {name: spread_sizes(names[::-1])(name) for name in names}


@pytest.mark.slow
def test_thirty_four_repositories_cost_seconds(git_server: GitServer) -> None:
    """146 MB of them, for less than 15 s of computing (the clock also counts what else the machine does)."""
    rows = [f"Pack{number},https://github.com/owner/Pack{number},," for number in range(34)]
    before = os.times()
    made = custom_nodes_csv_packs(git_server, "\n".join(["Name,RepoUrl,Subfolder,RequirementsFile", *rows]))
    assert len(made.packs) == 34
    assert sum(os.times()[:4]) - sum(before[:4]) < 15


@pytest.mark.slow
def test_the_demo_has_what_it_wants_to_show(git_server: GitServer, tmp_path: Path) -> None:
    """Every repository of the demo's list can be cloned but one; one is nested, its name a Python package's."""
    rows = list(csv.DictReader(io.StringIO(make_demo_packs(git_server))))
    failed = [row["Name"] for row in rows if git("ls-remote", row["RepoUrl"]).returncode]
    assert failed == ["Demo-Gone"]
    assert len(rows) == 12
    assert [row["Subfolder"] for row in rows if row["Subfolder"]] == ["Demo-Parent/demo_child"]
    assert all("127.0.0.1" in row["RepoUrl"] for row in rows)
