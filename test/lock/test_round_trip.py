"""A lock that a run wrote, installed with `exact` on an identical fresh machine: the same packages, from the same
places, and the same files."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.standin.packs import Pack, add_commit, make_pack
from test.lock.test_lock_for_real import bring, ended_with, lock_of, warned
from test.plan.box import Box
from test.plan.conftest import BoxFactory
from test.runner.rig import Run, names_in, node
from test.runner.test_standalone import Hand
from test.support.package_index import source_tree

pytestmark = pytest.mark.registry
INSTALLERS_OWN = ("RECORD", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
_ORIGINS = """
import json
from importlib import metadata
found = {}
for each in metadata.distributions():
    found.setdefault(each.metadata["Name"], [each.version, json.loads(each.read_text("direct_url.json") or "null")])
print(json.dumps(found))
"""


def origins(box: Box) -> dict[str, Any]:
    """Each package's version, and where its installer says that it came from."""
    assert box.environment is not None
    done = subprocess.run([str(box.environment.python), "-c", _ORIGINS], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    for _, origin in found.values():
        if origin and "vcs_info" in origin:
            origin["vcs_info"].pop("requested_revision", None)  # a lock asks for the commit, a pack for a branch
    return found


def files(box: Box) -> dict[str, str]:
    """The hash of every file of every package. What an installer notes of its work and what Python compiles is none."""
    assert box.environment is not None
    root = box.environment.packages
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".pyc" and path.name not in INSTALLERS_OWN
    }


def installing(*requirements: str) -> str:
    """An install.py that installs these, one after the other."""
    return (
        f"import subprocess, sys\nfor each in {requirements!r}:\n"
        "    argv = ['uv', 'pip', 'install', '-q', '--no-deps', '--python', sys.executable, *each.split('|')]\n"
        "    subprocess.run(argv, check=True)\n"
    )


def shared(name: str, version: str, *names: str) -> dict[str, str]:
    """The modules of a package whose module other packages have too, and one of its own."""
    own = f"{name.replace('-', '_')}_own/__init__.py"
    return {**dict.fromkeys(names, f"whose = {name + ' ' + version!r}\n"), own: "own = True\n"}


def run(box: Box, *packs: Pack, **options: Any) -> tuple[dict[str, Any], Run]:
    """Installs packs, with their scripts; the lock that the run wrote."""
    made = box.run_of(*(node(pack) for pack in packs), options=options)
    assert ended_with(made) is None, made.said()
    return lock_of(made), made


def package_in_git(box: Box, name: str, version: str = "1.0") -> Pack:
    """A package's source in a repository, not in the index."""
    return make_pack(box.git, "owner", name, files=source_tree(name, version))


@pytest.fixture
def rich(box: Box) -> tuple[Box, dict[str, Any], Pack]:
    """A machine with packs that need an index, a repository, an address, a build, a member of the torch family and a
    harmless nvidia package; one script overwrites files of what was planned, and moves a version. Since then the world
    has gone on."""
    index = box.index
    for name, version in (("tool", "1.0"), ("numbers", "1.26"), ("numbers", "2.4"), ("nvidia-ml-py", "13.0")):
        index.wheel(name, version)
    index.wheel("xformers", "0.0.33")
    index.sdist("built", "0.9")
    for name, version in (("opencv-python-headless", "4.11"), ("opencv-contrib-python", "5.1")):
        index.wheel(name, version, modules=shared(name, version, "cv2/__init__.py", "cv2/data/__init__.py"))
    for name in ("zeta-images", "alpha-images"):
        index.wheel(name, "1.0", modules=shared(name, "1.0", "images/__init__.py"))
    clipper = package_in_git(box, "clipper")
    wheel = index.wheel("direct", "3.0")
    needs = f"tool\nnumbers<2\nopencv-python-headless\nbuilt\nclipper @ git+{clipper.url}\ndirect @ {wheel}\n"
    one = make_pack(box.git, "owner", "one", requirements=f"{needs}zeta-images\n")
    two = make_pack(
        box.git,
        "owner",
        "two",
        requirements=f"built\nclipper @ git+{clipper.url}\n",  # or its script would run before the builds of `one`
        install_py=installing(
            "opencv-contrib-python==5.1", "numbers==2.4", "nvidia-ml-py", "xformers==0.0.33", "alpha-images"
        ),
    )
    lock, _ = run(box, one, two)
    add_commit(box.git, clipper, {"NEWS": "another version"})
    index.wheel("tool", "2.0")
    add_commit(box.git, one, {"new.txt": "new"})
    return box, lock, clipper


def test_the_same_files_on_an_identical_fresh_machine(
    box_factory: BoxFactory, rich: tuple[Box, dict[str, Any], Pack]
) -> None:
    """All of a run's own lock, with `exact`; and once more where everything is there already."""
    first, lock, _ = rich
    second = box_factory()
    restored = bring(second, lock, exact=True)
    assert ended_with(restored) is None, (restored.snapshot().error, restored.said())
    assert origins(second) == origins(first)
    assert files(second) == files(first)
    assert warned(restored) == ["changed_by_script"], "and what it changed was put back"
    again = lock_of(restored)
    assert again["compared"] == {"differences": [], "not_in_lock": {"node_packs": [], "packages": []}}
    same = ("packages", "sources", "only_there", "overlaps", "node_packs")
    assert {name: again[name] for name in same} == {name: lock[name] for name in same}
    once_more = bring(second, again, exact=True)
    assert ended_with(once_more) is None
    assert files(second) == files(first)


def test_a_lock_says_where_packages_came_from_and_whose_files_are_on_top(
    rich: tuple[Box, dict[str, Any], Pack],
) -> None:
    first, lock, clipper = rich
    assert lock["sources"] == {
        "clipper": f"git+{clipper.url}@{clipper.commit}",
        "direct": f"{first.index.url}direct/direct-3.0-py3-none-any.whl",
    }
    assert lock["only_there"] == []
    tops = {(each["on_top"], *each["beneath"]): each["files"] for each in lock["overlaps"]}
    assert tops[("alpha-images", "zeta-images")] == 1
    opencv = {name for name in lock["packages"] if name.startswith("opencv")}
    assert len(opencv) == 1 or tops[("opencv-contrib-python", "opencv-python-headless")] == 2


@pytest.mark.parametrize(
    "names", [("low", "mid", "top"), ("opencv-python", "opencv-python-headless", "opencv-contrib-python")]
)
def test_three_layers_that_lie_the_other_way_round(box_factory: BoxFactory, names: tuple[str, ...]) -> None:
    """Nothing but the order differs, and it is brought about; without `exact` too."""
    first, second, third = (box_factory() for _ in range(3))
    for name, paths in zip(names, (("a.py", "b.py"), ("a.py", "b.py"), ("a.py",)), strict=True):
        first.index.wheel(name, "1.0", modules=shared(name, "1.0", *(f"images/{path}" for path in paths)))
    for box, order in ((first, names), (second, names[::-1]), (third, names[::-1])):
        for name in order:
            box.have(name)
    lock, _ = run(first, make_pack(first.git, "owner", "one"))
    assert len(lock["overlaps"]) == 2
    assert files(second) == files(third) != files(first)
    assert ended_with(bring(second, lock, exact=True)) is None
    assert files(second) == files(first)
    bring(third, lock)
    assert files(third) == files(first)
    assert lock_of(bring(third, lock))["compared"]["differences"] == []


def test_the_same_by_a_file_at_the_machines_own_terminal(
    box_factory: BoxFactory, rich: tuple[Box, dict[str, Any], Pack], tmp_path: Path
) -> None:
    """As the service answers it, saved and typed."""
    first, lock, _ = rich
    second = box_factory()
    (tmp_path / "lock.json").write_text(json.dumps({"success": True, "lock": lock}))
    done = Hand(second).types("--lock", str(tmp_path / "lock.json"), "--exact")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (origins(second), files(second)) == (origins(first), files(first))


@pytest.mark.parametrize("gone", ["commit", "wheel"])
def test_an_address_that_is_gone_is_refused_before_anything_changes(
    box_factory: BoxFactory, rich: tuple[Box, dict[str, Any], Pack], gone: str
) -> None:
    """With `exact`; without it, it costs only itself: the pack's own requirements are asked then."""
    first, lock, clipper = rich
    if gone == "commit":
        lock["sources"]["clipper"] = f"git+{clipper.url}@{'a' * 40}"
    else:
        next((first.index.folder / "simple" / "direct").glob("*.whl")).unlink()
    name = "clipper" if gone == "commit" else "direct"
    second = box_factory()
    before = files(second)
    refused = bring(second, lock, exact=True)
    error = refused.snapshot().error
    assert error is not None and error.code == "lock_unavailable", refused.said()
    assert f"Nothing was changed. {name} @ " in error.message
    assert (names_in(second.custom_nodes), files(second)) == ([], before)
    told = bring(second, lock)
    assert ended_with(told) is None, told.said()
    assert origins(second)["built"] == origins(first)["built"]
    assert {"lock_package_unavailable", "lock_not_exact"} <= set(warned(told))
    newest = {"clipper": "1.0 from git+", "direct": "direct is not installed"}[name]
    assert any(newest in difference for difference in lock_of(told)["compared"]["differences"])
