"""Environments that were not whole before a run: what the run did not do is not told as its doing."""

from __future__ import annotations

import json
import shutil

import pytest

from app.protocol.states import TaskState
from test.plan.box import Box, states

pytestmark = pytest.mark.registry  # uv itself comes from there; the packages do not


@pytest.mark.parametrize("script", ["", "import slim\n"])
def test_files_that_an_image_was_made_smaller_by_are_not_lost(box: Box, script: str) -> None:
    """Images often lack all folders of tests. The folders around them change all the same: by another package, or by
    what Python compiles."""
    files = {"slim/__init__.py": "", "slim/tests/__init__.py": "", "tests/__init__.py": ""}
    box.index.wheel("slim", "1.0", modules=files)
    box.index.wheel("fresh", "1.0")
    box.have("slim==1.0")
    assert box.environment is not None
    folder = box.environment.packages
    for gone in (folder / "slim" / "tests", folder / "tests"):
        shutil.rmtree(gone)
    run = box.run_of(box.pack("one", "fresh", files={"install.py": script} if script else {}))
    assert (run.snapshot().state, run.snapshot().warnings) == (TaskState.COMPLETED, ()), run.said()
    assert not (folder / "tests").exists()


def test_a_package_that_is_there_twice_gets_the_version_that_is_wanted(box: Box) -> None:
    """An older copy's metadata stays behind. It lists files that the newer version does not have."""
    for version in ("1.0", "2.0"):
        box.index.wheel("twice", version, modules={"twice/__init__.py": "", f"twice/v{version[0]}.py": ""})
    box.have("twice==1.0")
    assert box.environment is not None
    folder = box.environment.packages
    older = folder / "twice-0.9.dist-info"
    shutil.copytree(folder / "twice-1.0.dist-info", older)
    (older / "METADATA").write_text((older / "METADATA").read_text().replace("1.0", "0.9"))
    run = box.run_of(box.pack("one", "twice>=2"))
    assert states(run) == {"one": "installed"}, run.said()
    assert (folder / "twice" / "v2.py").exists()
    assert not (folder / "twice" / "v1.py").exists()
    assert (run.snapshot().state, run.snapshot().warnings) == (TaskState.COMPLETED, ())


def test_what_a_run_has_brought_and_a_script_breaks_is_installed_again_as_it_was_brought(box: Box) -> None:
    for version in ("1.0", "2.0"):
        box.index.wheel("newer", version, modules={"newer/__init__.py": "", "newer/part.py": f"v = {version!r}\n"})
    box.have("newer==1.0")
    assert box.environment is not None
    part = box.environment.packages / "newer" / "part.py"
    run = box.run_of(box.pack("one", "newer>=2", files={"install.py": f"import os; os.unlink({str(part)!r})\n"}))
    assert run.snapshot().state is TaskState.COMPLETED
    assert [each.code for each in run.snapshot().warnings] == ["packages_restored"]
    assert part.read_text() == "v = '2.0'\n"


_PRETENDS = """
import os
folder = {!r} + "/pretended-1.0.dist-info"
os.mkdir(folder)
for name, text in (("METADATA", "Name: pretended\\nVersion: 1.0\\n"), ("RECORD", "pretended/__init__.py,,\\n")):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)
"""


def test_what_a_script_only_pretends_to_have_installed_is_not_lost(box: Box) -> None:
    """Some packs write nothing but metadata, so that installers leave a package alone."""
    assert box.environment is not None
    script = _PRETENDS.format(str(box.environment.packages))
    run = box.run_of(box.pack("one", files={"install.py": script}))
    assert (run.snapshot().state, run.snapshot().warnings) == (TaskState.COMPLETED, ()), run.snapshot().error


def test_no_login_is_told_with_where_a_package_came_from(box: Box) -> None:
    """pip leaves a login in the address where it is a user's name alone, as GitHub's tokens may be given."""
    box.index.wheel("thing", "1.0")
    box.have("thing==1.0")
    assert box.environment is not None
    path = box.environment.packages / "thing-1.0.dist-info" / "direct_url.json"
    origin = {"url": "https://login:token-of-mine@host.example/x", "vcs_info": {"vcs": "git", "commit_id": "a" * 40}}
    run = box.run_of(box.pack("one", files={"install.py": f"open({str(path)!r}, 'w').write({json.dumps(origin)!r})\n"}))
    said = {each.code: each.message for each in run.snapshot().warnings}
    assert "git+https://host.example/x@aaaa" in said["changed_by_script"]
    assert "token-of-mine" not in str(run.snapshot())
