"""Where a lock's packages come from: other places than the package index, places that are gone, and places that only
one machine has."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.standin.packs import add_commit, make_pack
from test.lock.test_exact import messages
from test.lock.test_lock_for_real import bring, ended_with, lock_of, warned
from test.lock.test_round_trip import files, installing, origins, package_in_git, run, shared
from test.plan.box import Box
from test.plan.conftest import BoxFactory
from test.plan.test_rollback import roll_back
from test.runner.rig import names_in
from test.support.package_index import PackageIndex, source_tree

pytestmark = pytest.mark.registry


def metadata_of(box: Box, name: str) -> Path:
    assert box.environment is not None
    return next(box.environment.packages.glob(f"{name}-*.dist-info"))


def claim(box: Box, name: str, origin: dict[str, Any]) -> None:
    """Another installer says that a package came from there."""
    (metadata_of(box, name) / "direct_url.json").write_text(json.dumps(origin))


def distribution(box: Box, name: str, version: str) -> None:
    """A package of the system's, in the environment's sight."""
    assert box.environment is not None
    folder = box.environment.packages / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def remove(box: Box, name: str) -> None:
    assert box.environment is not None
    argv = [str(box.uv), "pip", "uninstall", "-q", "--python", str(box.environment.python), name]
    subprocess.run(argv, check=True, capture_output=True, env=box.environ)


def source_folder(folder: Path, name: str) -> Path:
    folder.mkdir()
    for path, text in source_tree(name, "1.0").items():
        (folder / path).write_text(text)
    return folder


DEAD: dict[str, dict[str, Any]] = {
    "conda": {"url": "file:///croot/tool_1686130465/work", "dir_info": {}},
    "condaforge": {"url": "file:///home/conda/feedstock_root/build_artifacts/tool_16/work", "dir_info": {}},
    "wheelfile": {
        "url": "file:///tmp/wheels/tool-1.0-py3-none-any.whl",
        "archive_info": {"hash": "sha256=" + "0" * 64},
    },
    "buildfolder": {"url": "file://localhost//private/var/pip-req-build-u/tool-1.0.whl", "archive_info": {}},
}


def test_a_file_that_is_gone_is_no_place(box_factory: BoxFactory) -> None:
    """conda's packages name the folder that they were built in: they are had from the index, by their version."""
    first, second = box_factory(), box_factory()
    for name in DEAD:
        first.index.wheel(name, "1.0")
    first.have(*DEAD)
    for name, origin in DEAD.items():
        claim(first, name, origin)
    lock, _ = run(first, make_pack(first.git, "owner", "one", requirements="".join(f"{name}\n" for name in DEAD)))
    assert {name: lock["packages"].get(name) for name in DEAD} == dict.fromkeys(DEAD, "1.0")
    assert (lock["sources"], lock["only_there"]) == ({}, [])
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, restored.said()
    assert {name: origins(second)[name] for name in DEAD} == {name: ["1.0", None] for name in DEAD}
    for name, origin in DEAD.items():
        claim(second, name, origin)
    assert ended_with(bring(second, lock, exact=True)) is None


@pytest.mark.parametrize("kind", ["editable", "folder", "wheel"])
def test_what_only_that_machine_has_is_refused_elsewhere_and_had_there(
    box_factory: BoxFactory, tmp_path: Path, kind: str
) -> None:
    """A folder of the user's, an editable one, a wheel that lies on the disk: named with why."""
    first = box_factory()
    place = tmp_path / "mine-1.0-py3-none-any.whl"
    if kind == "wheel":
        first.index.wheel("mine", "1.0")
        next((first.index.folder / "simple" / "mine").glob("*.whl")).rename(place)
    else:
        place = source_folder(tmp_path / "mine", "mine")
    if kind == "editable":
        distribution(first, "mine", "1.0")
        claim(first, "mine", {"url": place.as_uri(), "dir_info": {"editable": True}})
    else:
        first.have(f"mine @ {place.as_uri()}")
    first.index.wheel("mine", "1.0", modules={"evil.py": "another package of that name\n"})
    lock, made = run(first, make_pack(first.git, "owner", "one"))
    (entry,) = lock["only_there"]
    assert (entry["name"], entry["path"], entry["editable"]) == ("mine", str(place), kind == "editable")
    assert str(place) in entry["reason"]
    roll_back(first, made)
    before = files(first)
    assert ended_with(bring(first, lock, exact=True)) is None
    assert files(first) == before
    if kind != "editable":
        remove(first, "mine")
        assert ended_with(bring(first, lock, exact=True)) is None, "it lies there still"
        assert files(first) == before
    elsewhere = box_factory()
    place.rename(tmp_path / "moved")
    refused = bring(elsewhere, lock, exact=True)
    error = refused.snapshot().error
    assert error is not None and error.code == "lock_mismatch"
    assert "mine 1.0 cannot be installed here: it " in error.message and str(place) in error.message
    assert names_in(elsewhere.custom_nodes) == []
    told = bring(elsewhere, lock)
    assert "mine 1.0 cannot be installed here: it " in messages(told)
    assert (ended_with(told), "mine" in elsewhere.freeze()) == (None, False)


def test_a_package_that_a_pack_brings_with_it(box_factory: BoxFactory) -> None:
    """A folder and a wheel in the pack's own: they come with the pack, wherever ComfyUI is."""
    first, second = box_factory(), box_factory()
    first.index.wheel("inside", "1.0")
    wheel = next((first.index.folder / "simple" / "inside").glob("*.whl"))
    tree = {f"vendor/{path}": text for path, text in source_tree("vendored", "1.0").items()}
    needs = f"./vendor\n./{wheel.name}\n"
    one = make_pack(first.git, "owner", "one", requirements=needs, files={**tree, wheel.name: wheel.read_bytes()})
    wheel.unlink()
    lock, _ = run(first, one)
    assert {entry["name"] for entry in lock["only_there"]} == {"inside", "vendored"}
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, restored.said()
    assert files(second) == files(first)


def test_a_login_is_not_in_the_lock_and_told(box_factory: BoxFactory) -> None:
    """Neither in an address of a file nor of a repository; what takes no login is had all the same."""
    first, second = box_factory(), box_factory()
    wheel = first.index.wheel("direct", "3.0")
    clipper = package_in_git(first, "clipper")
    secret = "hidden-word"
    needs = f"direct @ {wheel.replace('//', f'//me:{secret}@')}\nclipper @ git+{clipper.url}\n"
    one = make_pack(first.git, "owner", "one", requirements=needs)
    lock, made = run(first, one)
    claim(
        first,
        "clipper",
        {
            "url": clipper.url.replace("//", f"//{secret}@"),
            "vcs_info": {"vcs": "git", "commit_id": clipper.commit},
        },
    )
    lock, made = run(first, one)
    assert secret not in json.dumps(lock)
    assert "lock_without_login: The lock names where these packages came from" in messages(made)
    assert "clipper" in messages(made)
    assert lock["sources"] == {"direct": wheel, "clipper": f"git+{clipper.url}@{clipper.commit}"}
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, restored.said()
    assert files(second) == files(first)


@pytest.mark.parametrize("named", [True, False])
def test_the_same_version_from_elsewhere_is_not_the_same(box_factory: BoxFactory, named: bool) -> None:
    """Brought from where the lock has it. A lock that names no places (an older one) takes the version for enough."""
    first, second = box_factory(), box_factory()
    first.index.wheel("clipper", "1.0", modules={"clipper/__init__.py": "from_the_index = 1\n"})
    first.index.wheel("other", "1.0")
    clipper, other = package_in_git(first, "clipper"), package_in_git(first, "other")
    lock, _ = run(first, make_pack(first.git, "owner", "one", requirements=f"clipper @ git+{clipper.url}\nother\n"))
    second.have("clipper==1.0", f"other @ git+{other.url}")
    before = files(second)
    if not named:
        del lock["sources"]
    restored = bring(second, lock, exact=named)
    assert ended_with(restored) is None, restored.said()
    if named:
        assert files(second) == files(first)
        assert origins(second) == origins(first)
    else:
        assert {name: files(second)[name] for name in before} == before


def test_versions_that_no_index_has(box_factory: BoxFactory) -> None:
    """Ubuntu's own packages: equal on an identical machine, named where they are missing."""
    first, second, third = (box_factory() for _ in range(3))
    for box in (first, second):
        distribution(box, "distro-info", "1.1build1")
        distribution(box, "ubuntu-pro", "0~git2020")
    lock, _ = run(first, make_pack(first.git, "owner", "one"))
    assert ended_with(bring(second, lock, exact=True)) is None
    refused = bring(third, lock, exact=True)
    error = refused.snapshot().error
    assert error is not None and error.code == "lock_mismatch"
    assert "distro-info 1.1build1 cannot be installed here: its version is one of a Linux distribution" in error.message


def test_withdrawn_early_and_oddly_spelled_versions(box_factory: BoxFactory) -> None:
    """Yanked since, a pre-release, a build, setuptools, and a name that is spelled in three ways."""
    first, second = box_factory(), box_factory()
    index = first.index
    for name, version in (("tool", "1.0"), ("early", "1.0b2"), ("Two.Ways", "1.0"), ("setuptools", "70.0")):
        index.wheel(name, version)
    index.sdist("built", "0.9")
    needs = "tool\nearly==1.0b2\ntwo_ways\nbuilt\nsetuptools\n"
    lock, _ = run(first, make_pack(first.git, "owner", "one", requirements=needs))
    lock["packages"] = {name.upper().replace(".", "_"): version for name, version in lock["packages"].items()}
    index.yank("tool")
    index.wheel("tool", "1.1")
    index.wheel("early", "1.0")
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, restored.said()
    assert files(second) == files(first)
    assert warned(restored) == []


def test_an_index_that_only_a_pack_names(box_factory: BoxFactory, tmp_path: Path) -> None:
    """The lock names it too; a package that both indexes know is had from the one that has the version."""
    first, second = box_factory(), box_factory()
    with PackageIndex(tmp_path / "more") as more:
        more.wheel("special", "1.0")
        first.index.wheel("tool", "1.0")
        needs = f"--extra-index-url {more.url}\nspecial\ntool\n"
        lock, _ = run(first, make_pack(first.git, "owner", "one", requirements=needs))
        assert lock["indexes"] == [more.url]
        assert lock["from_places"] == ["special"]
        more.wheel("tool", "1.0", modules={"tool/__init__.py": "raise SystemExit('not the one of the lock')"})
        restored = bring(second, lock, exact=True)
        assert ended_with(restored) is None, restored.said()
        assert files(second) == files(first)


def test_a_script_that_brings_the_newest_is_put_back(box_factory: BoxFactory) -> None:
    """It brought the newest of then, and the lock has that."""
    first, second = box_factory(), box_factory()
    first.index.wheel("tool", "1.0")
    clipper = package_in_git(first, "clipper")
    script = installing("--upgrade|tool", f"--upgrade|clipper @ git+{clipper.url}")
    lock, _ = run(first, make_pack(first.git, "owner", "one", install_py=script))
    first.index.wheel("tool", "2.0")
    add_commit(first.git, clipper, source_tree("clipper", "2.0"))
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, (restored.snapshot().error, restored.said())
    assert files(second) == files(first)
    assert origins(second) == origins(first)


def test_an_exact_lock_brings_its_own_variant(box_factory: BoxFactory) -> None:
    """Instead of the image's, told; and a run that fails brings that back. Without `exact` the image's stays."""
    first, second, third = (box_factory() for _ in range(3))
    for name in ("opencv-python", "opencv-contrib-python-headless"):
        first.index.wheel(name, "4.0", modules=shared(name, "4.0", "cv2/__init__.py"))
    needs = "opencv-contrib-python-headless\n"
    lock, _ = run(first, make_pack(first.git, "owner", "one", requirements=needs))
    for box in (second, third):
        box.have("opencv-python")
    told = bring(third, lock)
    assert "opencv-contrib-python-headless was not installed, because it would overwrite opencv-python" in messages(
        told
    )
    assert "opencv-python" in third.freeze()
    before = files(second)
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, restored.said()
    assert files(second) == files(first)
    assert "These packages make room for the lock's, which have the same files: opencv-python." in messages(restored)
    roll_back(second, restored)
    assert files(second) == before
    lock["node_packs"][0]["commit"] = "a" * 40
    assert ended_with(bring(second, lock, exact=True)) == "lock_not_exact"
    assert files(second) == before


def test_a_member_of_the_torch_family_comes_with_a_lock_of_the_same_torch(box_factory: BoxFactory) -> None:
    """It worked beside that torch. Beside another one it stays out, and a harmless one does not."""
    first, second, third = (box_factory() for _ in range(3))
    for name in ("xformers", "nvidia-ml-py"):
        first.index.wheel(name, "1.0")
    one = make_pack(first.git, "owner", "one", install_py=installing("xformers", "nvidia-ml-py"))
    lock, _ = run(first, one)
    restored = bring(second, lock, exact=True, verify=True)
    assert ended_with(restored) is None, restored.said()
    assert not {"protected_changed", "lock_not_exact"} & set(warned(restored)), messages(restored)
    assert files(second) == files(first)
    other = {**lock, "torch": {"version": "2.7.0+cu118", "cuda": "11.8"}}
    told = bring(third, other, run_scripts=False)
    assert "xformers 1.0 was not installed, because it has to match the installed torch" in messages(told)
    assert ("nvidia-ml-py" in third.freeze(), "xformers" in third.freeze()) == (True, False)
    patch = {**lock, "python": lock["python"] + "9"}
    assert "python_differs" in warned(bring(second, patch, exact=True))
    assert lock_of(told)["packages"]["nvidia-ml-py"] == "1.0"
