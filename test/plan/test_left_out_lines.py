"""Lines that cannot be had cost the pack nothing else, by real uv: each is told with why, the rest is installed."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from app.protocol.events import NodeChanged
from app.protocol.snapshot import Problem
from app.protocol.states import TaskState
from app.standin.environment import make_environment
from app.standin.packs import make_pack
from test.plan.box import Box, lane_of, plan_of, states
from test.plan.conftest import BoxFactory
from test.runner.rig import Run
from test.support.package_index import source_tree

pytestmark = pytest.mark.registry


def error(run: Run, name: str) -> Problem:
    found = run.snapshot().nodes[name].error
    assert found is not None, run.said()
    return found


def furnish(box: Box) -> None:
    """What the packs ask for, and what they cannot have."""
    index = box.index
    for name in ("alpha", "beta", "gamma"):
        index.wheel(name, "1.0")
    index.wheel("only-windows", "306", tag="cp311-cp311-win_amd64")
    index.wheel("old-python", "1.0", tag="cp36-cp36m-manylinux1_x86_64")
    index.wheel("next-python", "1.0", python=">=3.99")
    index.wheel("over-nothing", "1.0", ["gone-for-good"])
    index.sdist("unmakeable", "1.0", broken="error: command 'gcc' failed: No such file or directory")
    index.wheel("over-it", "1.0", ["unmakeable"])
    index.spoiled("spoiled", "1.0")


BAD = {
    "python>=3.99": ("python_version", "another Python"),
    "only-windows": ("no_wheel", "only for Windows"),
    "old-python": ("no_wheel", "only for Python 3.6"),
    "next-python": ("python_version", "needs Python >=3.99"),
    "cv2": ("requirement_not_found", "its package is opencv-python-headless"),
    "no-such-package-anywhere": ("requirement_not_found", "no package of this name"),
    "alpha==99": ("requirement_not_found", "no such version"),
    "over-nothing": ("requirement_not_found", "it needs gone-for-good"),
    "over-it": ("compiler_missing", "unmakeable"),
    "unmakeable": ("compiler_missing", "unmakeable"),
    "spoiled": ("package_unreadable", "cannot be read"),
    "beta=1.0": ("bad_requirement", "as for conda"),
    "import beta": ("bad_requirement", "Python code"),
    "wheels/no.whl": ("bad_requirement", "no such file"),
    "beta; no_such_marker == '1'": ("bad_requirement", "no requirement that pip understands"),
}


def test_one_bad_line_costs_only_itself(box: Box) -> None:
    """Many packs at once: of each only the bad line is missing, the good pack is in the first stage, and each word that
    is told is about the line."""
    furnish(box)
    packs = [box.pack(f"bad{number}", line, "gamma") for number, line in enumerate(BAD)]
    run = box.run_of(box.pack("good", "alpha", "beta"), *packs, box.pack("many", *BAD, "gamma"))
    found = states(run)
    assert found.pop("good") == "installed"
    assert lane_of(run, "alpha") == "agrees"
    assert found.pop("many").startswith("failed ")
    assert list(found.values()) == [f"failed {code}" for code, _ in BAD.values()], run.said()
    assert {"alpha", "beta", "gamma"} <= box.freeze().keys()
    for number, (line, (_, words)) in enumerate(BAD.items()):
        said = error(run, f"bad{number}")
        assert line in said.message and words in said.message and said.hint, said
        assert "The rest of its requirements is not affected" in said.message
    many = error(run, "many")
    assert (
        many.message.startswith(f"{len(BAD)} lines of the pack's requirements are left out")
        and len(many.message) < 1200
    )
    log = (run.folder / "nodes" / "many.log").read_text()
    assert all(f'left out: "{line}"' in log for line in BAD)


def test_the_import_decides(box: Box) -> None:
    """What loads is ready, with the line as its problem; what does not is failed, with the line as the likely reason;
    where the line has nothing to do with it, the import's own reason comes first. A line that nobody misses is no
    problem."""
    box.index.wheel("alpha", "1.0")
    nodes = "NODE_CLASS_MAPPINGS = {}\n"
    packs = [
        box.pack("loads", "alpha", "no-such-package", files={"__init__.py": "import alpha\n" + nodes}),
        box.pack("misses-it", "alpha", "no-such-package", files={"__init__.py": "import no_such_package\n"}),
        box.pack("other-reason", "no-such-package", files={"__init__.py": "import torch\ntorch.cuda.init_(\n"}),
        box.pack("harmless", "alpha", "python>=3.8", "json", files={"__init__.py": "import alpha\n" + nodes}),
    ]
    run = box.run_of(*packs, options={"verify": True})
    assert states(run) == {
        "loads": "verified requirement_not_found",
        "misses-it": "failed requirement_not_found",
        "other-reason": "failed syntax_error",
        "harmless": "verified",
    }, run.said()
    assert "no_such_package" in error(run, "misses-it").message and "no-such-package" in error(run, "misses-it").message
    assert "no-such-package" in error(run, "other-reason").message
    warning = next(each for each in run.snapshot().warnings if each.code == "requirement_lines_left_out")
    assert '"python>=3.8"' in warning.message and '"json"' in warning.message and "harmless" in warning.message
    assert run.told(NodeChanged, name="harmless")[-1].error is None


def test_a_conflict_is_no_line_that_cannot_be_had(box: Box) -> None:
    """The pack that contradicts others fails as before; nothing of it is left out, also where it has a bad line too."""
    for version in ("1.0", "2.0"):
        box.index.wheel("numpee", version)
    run = box.run_of(
        box.pack("new", "numpee>=2"),
        box.pack("old", "numpee<2"),
        box.pack("both", "numpee<2", "nope"),
        box.pack("none-such", "numpee==1.5", "no-such[extra]>=1", "."),
    )
    assert states(run) == {
        "new": "installed",
        "old": "failed requirement_conflict",
        "both": "failed requirement_conflict",
        "none-such": "failed bad_requirement",
    }, run.said()
    assert "left out" not in error(run, "old").message
    said = error(run, "none-such").message
    assert all(f'"{line}"' in said for line in ("numpee==1.5", "no-such[extra]>=1", ".")), said


def test_a_yanked_version_is_said_to_be_one_and_can_be_allowed(box: Box) -> None:
    """A package needs exactly it: the line is left out with the author's reason and the option in the hint; with the
    option it is installed, and no other yanked one is."""
    for name in ("foo", "bar"):
        box.index.wheel(name, "1.2")
        box.index.wheel(name, "2.0")
        box.index.wheel(f"over-{name}", "1.0", [f"{name}==1.2"])
        box.index.yank(name, "1.2")
    packs = [box.pack("deep", "over-foo"), box.pack("other", "over-bar"), box.pack("direct", "bar==1.2")]
    planned = box.run_of(*packs[:2], options={"plan_only": True})
    assert states(planned) == {"deep": "failed package_yanked", "other": "failed package_yanked"}, planned.said()
    said = error(planned, "deep")
    assert "foo==1.2" in said.message and "it was bad" in said.message and '["foo==1.2"]' in said.hint
    run = box.run_of(*packs[:2], options={"allow_yanked": ["Foo==1.2"]})
    assert states(run) == {"deep": "installed", "other": "failed package_yanked"}, run.said()
    assert box.freeze()["foo"] == "1.2" and "bar" not in box.freeze()
    assert states(box.run_of(packs[2])) == {"direct": "installed"}


def test_a_plan_alone_says_the_same(box: Box) -> None:
    furnish(box)
    run = box.run_of(box.pack("one", "alpha", "only-windows", "<<<<<<< HEAD"), options={"plan_only": True})
    assert states(run) == {"one": "failed bad_requirement"}, run.said()
    assert [change["package"] for change in plan_of(run)] == ["alpha"]
    assert "only for Windows" in error(run, "one").message


def test_what_a_pack_brings_with_it_by_every_form(box: Box) -> None:
    """Wheels and folders of its own, and a repository that is named as editable."""
    address = {name: box.index.wheel(name, "1.0") for name in ("one", "two", "three")}
    folder = box.index.folder / "simple"
    wheels = {name: (folder / name / f"{name}-1.0-py3-none-any.whl").read_bytes() for name in address}
    folders = {"lib": "near", "more/li b": "spaced"}
    trees = {f"{top}/{path}": text for top, name in folders.items() for path, text in source_tree(name, "1.0").items()}
    repo = make_pack(box.git, "owner", "far", files=source_tree("far", "1.0"))
    pack = box.pack(
        "brings",
        "wheels/one-1.0-py3-none-any.whl",
        "two @ file:wheels/two-1.0-py3-none-any.whl",
        "three-1.0-py3-none-any.whl",
        "-e lib",
        "./more/li b",
        f"-e git+{repo.url}#egg=far",
        "gone/nothing.whl",
        files={
            **trees,
            "wheels/one-1.0-py3-none-any.whl": wheels["one"],
            "wheels/two-1.0-py3-none-any.whl": wheels["two"],
            "three-1.0-py3-none-any.whl": wheels["three"],
        },
    )
    for name in address:
        shutil.rmtree(folder / name)
    run = box.run_of(pack)
    assert states(run) == {"brings": "failed bad_requirement"}, run.said()
    assert "gone/nothing.whl" in error(run, "brings").message
    assert {"one", "two", "three", "near", "spaced", "far"} <= box.freeze().keys()


def test_without_uv_pip_leaves_out_the_same(box: Box) -> None:
    """All lines at once first, then line by line."""
    furnish(box)
    shutil.rmtree(box.ui_home / "venv")
    box.environment = make_environment(box.ui_home / "venv", with_pip=True)
    box.family = box.fingerprint()
    in_the_way = box.state / "tools" / "uv"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("no room for a uv of our own")
    box.environ |= {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": box.index.url}
    run = box.run_of(box.pack("one", "alpha", "cv2", "only-windows", "beta"), box.pack("good", "gamma"))
    assert states(run) == {"one": "failed requirement_not_found", "good": "installed"}, run.said()
    assert {"alpha", "beta", "gamma"} <= box.freeze().keys()
    said = error(run, "one").message
    assert '"cv2" (cv2 is the name of a module' in said and '"only-windows"' in said


def test_a_file_whose_hash_differs_is_not_installed(box: Box) -> None:
    """A line's hashes are those of the files that may be installed, as with pip."""
    digest = {}
    for name in ("right", "wrong", "beside"):
        box.index.wheel(name, "1.0")
        wheel = box.index.folder / "simple" / name / f"{name}-1.0-py3-none-any.whl"
        digest[name] = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lines = [f"right==1.0 --hash=sha256:{digest['right']}", "wrong==1.0 \\", f"  --hash=sha256:{'0' * 64}", "beside"]
    run = box.run_of(box.pack("one", *lines), box.pack("other", "right"))
    assert states(run) == {"one": "failed hash_mismatch", "other": "installed"}, run.said()
    assert '"wrong==1.0"' in error(run, "one").message
    assert {"right", "beside"} <= box.freeze().keys() and "wrong" not in box.freeze()


def test_an_address_that_is_dead_costs_no_other_pack(box: Box) -> None:
    """A file that is gone, and a server that is: the index is not blamed for it."""
    furnish(box)
    box.environ["UV_HTTP_RETRIES"] = "0"  # each try of uv's waits longer than the one before
    gone = f"{box.index.url}alpha/nope-1.0-py3-none-any.whl"
    packs = [box.pack("gone", gone, "alpha"), box.pack("dead", "https://127.0.0.1:1/x-1.0-py3-none-any.whl", "beta")]
    run = box.run_of(*packs, box.pack("late", "over-it", "gamma"))
    assert states(run) == {
        "gone": "failed requirement_source_unavailable",
        "dead": "failed registry_not_reached",
        "late": "failed compiler_missing",
    }, run.said()
    assert {"alpha", "beta", "gamma"} <= box.freeze().keys()


def test_lines_of_one_pack_that_contradict_each_other(box: Box) -> None:
    """As both sides of a merge conflict do."""
    for version in ("1.0", "2.0"):
        box.index.wheel("numpee", version)
    run = box.run_of(box.pack("one", "<<<<<<< HEAD", "numpee==1.0", "=======", "numpee==2.0", ">>>>>>> main"))
    assert states(run) == {"one": "failed requirement_conflict"}, run.said()
    assert "numpee==1.0, numpee==2.0" in error(run, "one").hint


def test_a_lock_of_a_run_with_a_line_left_out_is_restored_exactly(box_factory: BoxFactory) -> None:
    """What nobody could have is in no lock; what the lock has is there, and the line is told again."""
    first, second = box_factory(), box_factory()
    first.index.wheel("alpha", "1.0")
    lock = first.run_of(first.pack("one", "alpha", "cv2")).snapshot().lock
    run = second.install({"lock": lock}, options={"exact": True})
    assert run.snapshot().state is TaskState.COMPLETED, run.said()
    assert states(run) == {"one": "failed requirement_not_found"}
    assert second.freeze()["alpha"] == "1.0"


def test_a_line_that_contradicts_others_costs_its_pack_no_other_line(box: Box) -> None:
    """The import decides: one pack loads without, the other says which line it misses. What was there stays."""
    furnish(box)
    box.index.wheel("alpha", "2.0")
    box.index.wheel("wants-old", "1.0", ["alpha<2"])
    box.have("alpha==2.0")
    nodes = "\nNODE_CLASS_MAPPINGS = {}\n"
    loads = box.pack("loads", "beta", "alpha==1.0", files={"__init__.py": "import beta" + nodes})
    fails = box.pack("fails", "gamma", "wants-old", files={"__init__.py": "import gamma, wants_old" + nodes})
    first = box.pack("first", "alpha>=2", files={"__init__.py": "import alpha" + nodes})
    trees = {f"lib/{path}": text for path, text in source_tree("vendored", "1.0", ["alpha<2"]).items()}
    files = trees | {"__init__.py": "import beta" + nodes}
    places = box.pack("places", "beta", "./lib", files=files)
    run = box.run_of(first, loads, fails, places, options={"verify": True, "repair": "off"})
    assert states(run) == {
        "first": "verified",
        "loads": "verified requirement_conflict",
        "fails": "failed requirement_conflict",
        "places": "verified requirement_conflict",
    }, run.said()
    assert '"alpha==1.0" in the pack\'s requirements is left out' in error(run, "loads").message
    assert "That may be why its import failed" in error(run, "fails").message
    freeze = box.freeze()
    assert (freeze["alpha"], freeze["beta"], freeze["gamma"]) == ("2.0", "1.0", "1.0")
