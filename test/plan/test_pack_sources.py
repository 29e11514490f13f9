"""The places for packages that packs name themselves, with real uv and a second index: they serve what the pack asks
for and what only these bring in, and nobody else gets anything from them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.protocol.events import Warned
from app.standin.environment import make_environment
from test.plan.box import Box, plan_of, states
from test.runner.rig import Run
from test.support.package_index import PackageIndex

pytestmark = pytest.mark.registry  # uv itself comes from there; the packages do not
_SECRET = "pa55word"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[PackageIndex]:
    """A pack author's own index."""
    with PackageIndex(tmp_path / "vendor" / "whl") as index:
        yield index


@pytest.fixture
def pip_box(box: Box) -> Box:
    """A machine that has pip, and no uv, nor room for one."""
    shutil.rmtree(box.ui_home / "venv")
    box.environment = make_environment(box.ui_home / "venv", with_pip=True)
    box.family = box.fingerprint()
    (box.state / "tools").mkdir(parents=True)
    (box.state / "tools" / "uv").write_text("no room for a uv of our own")
    box.environ |= {"PATH": "/usr/bin:/bin", "PIP_INDEX_URL": box.index.url}
    return box


def warned(run: Run, code: str) -> str:
    """What the warnings of this code said."""
    return " ".join(each.message for each in run.told(Warned) if each.code == code)


def sources(run: Run) -> dict[str, str | None]:
    """Where the plan says that each package comes from."""
    return {change["package"]: change["source"] for change in plan_of(run)}


def test_a_packs_index_serves_what_it_asks_for_and_what_only_that_brings_in(box: Box, vendor: PackageIndex) -> None:
    """The vendor has a higher version of everything, and what another pack, ComfyUI and the installed ones need."""
    box.have(box.index.wheel("there", "1.0"))
    for name in ("common", "own", "others", "deep"):
        box.index.wheel(name, "1.0")
    box.index.wheel("uses", "1.0", ["others"])
    for name in ("common", "deep", "there", "others"):
        vendor.wheel(name, "9.0")
    vendor.wheel("own", "2.0", ["deep", "only-there", "there", "others"])
    vendor.wheel("only-there", "1.0")
    run = box.run_of(
        box.pack("Vendors", f"--extra-index-url {vendor.url}", "own", "common", "there"),
        box.pack("Other", "common", "uses", "others"),
    )
    assert states(run) == {"Vendors": "installed", "Other": "installed"}, run.said()
    found = box.freeze()
    wanted = {"own": "2.0", "only-there": "1.0", "common": "1.0", "deep": "1.0", "there": "1.0", "others": "1.0"}
    assert {name: found[name] for name in wanted} == wanted
    said = sources(run)
    assert {name for name, source in said.items() if source} == {"own", "only-there"}
    assert said["own"] == vendor.url
    assert f"Vendors takes only-there 1.0, own 2.0 from {vendor.url}" in warned(run, "pack_source")


@pytest.mark.parametrize("form", ["page", "folder", "index"])
def test_pages_and_folders_of_links_serve_only_their_pack(
    box: Box, vendor: PackageIndex, tmp_path: Path, form: str
) -> None:
    """One page lists everything, `/whl` in its address; a folder of wheels lies in the pack."""
    for index, version in ((box.index, "1.0"), (vendor, "9.0")):
        index.wheel("plain", version)
        index.wheel("named", version)
    vendor.wheel("needs", "1.0", ["plain", "inner"])
    vendor.wheel("inner", "1.0")
    wheels = sorted((vendor.folder / "simple").rglob("*.whl"))
    page = vendor.folder / "simple" / "all.html"
    page.write_text("".join(f'<a href="{path.parent.name}/{path.name}">{path.name}</a>\n' for path in wheels))
    files = {f"wheels/{path.name}": path.read_bytes() for path in wheels} if form == "folder" else {}
    line = {
        "page": f"--find-links {vendor.url}all.html",
        "folder": "--find-links wheels",
        "index": f"--index-url={vendor.url}",
    }
    pack = box.pack("Linked", line[form], "needs", "named", **({"files": files} if files else {}))
    run = box.run_of(pack, box.pack("Other", "plain"))
    assert states(run) == {"Linked": "installed", "Other": "installed"}, run.said()
    found = box.freeze()
    assert {name: found[name] for name in ("needs", "inner", "named", "plain")} == {
        "needs": "1.0",
        "inner": "1.0",
        "named": "9.0",
        "plain": "1.0",
    }
    place = "the pack's own wheels" if form == "folder" else vendor.url + ("all.html" if form == "page" else "")
    assert dict.fromkeys(("needs", "inner", "named"), place) | {"plain": None} == sources(run)


def test_a_private_index_is_read_with_its_login_which_nobody_sees(box: Box, tmp_path: Path) -> None:
    """The login stands in a variable of the image's, as authors are told to do it."""
    with PackageIndex(tmp_path / "private", login=f"me:{_SECRET}") as private:
        private.wheel("inside", "1.0", ["deeper"])
        private.counted_sdist("deeper", "1.0")
        box.environ["VENDOR_LOGIN"] = f"me:{_SECRET}"
        url = private.url.replace(f"me:{_SECRET}", "${VENDOR_LOGIN}")
        run = box.run_of(box.pack("Private", "--extra-index-url \\", f"  {url}", "inside"))
        assert states(run) == {"Private": "installed"}, run.said()
        assert private.builds == ["deeper==1.0"]
    texts = [path.read_text("utf-8", "replace") for path in box.state.rglob("*") if path.is_file()]
    assert not any(_SECRET in text for text in texts)
    assert not list(box.home.rglob("wheels/*/deeper*.whl")), "it would be offered to all packs of later runs"


def test_options_behave_as_in_pip_or_are_told_with_their_line(box: Box, vendor: PackageIndex) -> None:
    box.index.wheel("plain", "1.0")
    box.index.wheel("early", "1.0")
    box.index.wheel("early", "2.0rc1")
    box.index.wheel("wheeled", "1.0")
    box.index.counted_sdist("wheeled", "2.0")
    box.index.wheel("sourced", "1.0")
    box.index.counted_sdist("sourced", "1.0")
    box.index.wheel("limited", "1.0")
    box.index.wheel("limited", "2.0")
    run = box.run_of(
        box.pack("Pre", "--pre", "early"),
        box.pack("Prefers", "--prefer-binary", "wheeled"),
        box.pack("Builds", "--no-binary sourced", "sourced"),
        box.pack("Limits", "-c limits.txt", "limited", files={"limits.txt": b"limited<2\n"}),
        box.pack("Odd", "plain", "--require-hashes", "# more", "--extra-index-url https://${NOT_SET_HERE}/simple"),
    )
    assert set(states(run).values()) == {"installed"}, run.said()
    found = box.freeze()
    expected = {"early": "2.0rc1", "wheeled": "1.0", "limited": "1.0", "sourced": "1.0"}
    assert {name: found[name] for name in expected} == expected
    assert box.index.builds == ["sourced==1.0"]
    said = warned(run, "pack_options")
    assert "Odd" in said
    assert "requirements.txt, line 2: --require-hashes" in said
    assert "requirements.txt, line 4: the variable NOT_SET_HERE is not set" in said


def test_a_place_that_does_not_answer_costs_only_what_only_it_has(box: Box, tmp_path: Path) -> None:
    with PackageIndex(tmp_path / "gone") as gone:
        url = gone.url
    box.index.wheel("plain", "1.0")
    run = box.run_of(
        box.pack("Mirrored", f"-i {url}", "plain"),
        box.pack("Lost", f"--extra-index-url {url}", "nowhere-else"),
    )
    assert states(run)["Mirrored"] == "installed", run.said()
    assert states(run)["Lost"].startswith("failed"), run.said()
    assert "Lost names packages on 127.0.0.1" in warned(run, "pack_source_unreachable")


def test_without_uv_pip_keeps_to_the_same_rule(pip_box: Box, vendor: PackageIndex) -> None:
    """pip takes any name from any index: it is offered only what is allowed."""
    pip_box.have(pip_box.index.wheel("there", "1.0"))
    for name in ("common", "deep"):
        pip_box.index.wheel(name, "1.0")
        vendor.wheel(name, "9.0")
    vendor.wheel("there", "9.0")
    vendor.wheel("own", "2.0", ["deep", "only-there"])
    vendor.wheel("only-there", "1.0")
    run = pip_box.run_of(
        pip_box.pack("Vendors", f"--extra-index-url {vendor.url}", "own", "common", "there"),
        pip_box.pack("Other", "common"),
    )
    assert states(run) == {"Vendors": "installed", "Other": "installed"}, run.said()
    wanted = {"own": "2.0", "only-there": "1.0", "common": "1.0", "deep": "1.0", "there": "1.0"}
    found = pip_box.freeze()
    assert {name: found[name] for name in wanted} == wanted


def test_packs_that_name_the_same_place_share_what_it_has(box: Box, vendor: PackageIndex) -> None:
    """Two packs of one author; a third one without the place does not get from it what they ask for."""
    vendor.wheel("shared", "2.0", ["inner"])
    vendor.wheel("inner", "1.0")
    vendor.wheel("alone", "2.0")
    box.index.wheel("alone", "1.0")
    names = (f"--extra-index-url {vendor.url}", "shared")
    run = box.run_of(box.pack("One", *names), box.pack("Two", *names, "alone"), box.pack("Three", "alone"))
    assert set(states(run).values()) == {"installed"}, run.said()
    found = box.freeze()
    assert (found["shared"], found["inner"], found["alone"]) == ("2.0", "1.0", "1.0")
