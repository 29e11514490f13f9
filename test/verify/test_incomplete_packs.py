"""Packs of which something is not there: files in Git LFS, submodules that cannot be had."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from app.protocol import counts
from app.protocol.counts import Standing
from app.standin.git_rules import MISSING
from app.standin.git_server import GitServer
from app.standin.packs import Pack, make_pack
from test.runner.rig import Rig, Run, git, node
from test.verify.conftest import NODES, Verify

pytestmark = pytest.mark.slow
MakePack = Callable[..., Pack]
WHEEL = "wheels/x-1.0-py3-none-any.whl"


def pointer(size: int = 1_300_000_000) -> str:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{'5f' * 32}\nsize {size}\n"


def standing(run: Run, name: str) -> str:
    snapshot = run.snapshot()
    return counts.standing(snapshot, snapshot.nodes[name]).value


def message(run: Run, name: str) -> str:
    error = run.snapshot().nodes[name].error
    return error.message if error else ""


def test_pointers_of_git_lfs_are_told(verify: Verify, pack: MakePack) -> None:
    """A model: the pack loads, with a problem. Its code, or a wheel that it wants: failed by that. Another error stays
    what it is."""
    load = "import os\nif b'git-lfs' in open(os.path.join(os.path.dirname(__file__), 'm.pt'), 'rb').read():\n"
    load += "    raise RuntimeError(\"invalid load key, 'v'.\")"
    run = verify(
        [
            pack("model", files={"weights/model.safetensors": pointer()}),
            pack("code", files={"__init__.py": pointer(900)}),
            pack("wheel", files={WHEEL: pointer(5000)}, requirements=f"./{WHEEL}\n"),
            pack("loads-it", load, files={"m.pt": pointer()}),
            pack("other-error", "1/0", files={"m.pt": pointer()}),
            pack("script", files={"install.py": pointer(900)}),
            pack("text", files={"note.txt": "version https://example.invalid/spec\n" + "size 5\n" * 10}),
        ]
    )
    assert run.state("model") == "verified lfs_pointers"
    assert standing(run, "model") == Standing.PROBLEM.value
    assert "weights/model.safetensors (1.3 GB)" in message(run, "model")
    assert run.state("code") == "failed lfs_pointers"
    assert "__init__.py (900 B)" in message(run, "code")
    assert run.state("loads-it") == "failed lfs_pointers"
    assert run.state("other-error") == "failed import_failed"
    assert "ZeroDivisionError" in message(run, "other-error")
    assert "only the notes in their place: m.pt" in message(run, "other-error")
    assert run.state("script") == "verified lfs_pointers"
    assert run.state("text") == "verified"
    assert run.state("wheel").endswith("lfs_pointers")


def test_a_submodule_that_cannot_be_had_costs_only_what_needs_it(
    verify: Verify, pack: MakePack, git_server: GitServer
) -> None:
    """It is named, with its address; the other submodules come; a nested one too. The import decides."""
    good = make_pack(git_server, "o", "good-lib", files={"__init__.py": "", "answer.py": "A = 42\n"})
    gone = make_pack(git_server, "o", "gone-lib", files={"__init__.py": ""})
    outer = make_pack(git_server, "o", "outer-lib", files={"__init__.py": ""}, submodules={"inner": gone})
    git_server.set_rule("o/gone-lib", MISSING)
    uses_good = "import os, sys\nsys.path.insert(0, os.path.dirname(__file__))\nfrom lib_good.answer import A\n"
    both = {"lib_gone": gone, "lib_good": good}
    run = verify(
        [
            pack("loads", files={"__init__.py": uses_good + NODES % "loads"}, submodules=both),
            pack("needs", "from .lib_gone import nothing", submodules=both),
            pack("nested", submodules={"outer": outer}),
            pack("whole", submodules={"lib_good": good}),
        ]
    )
    assert run.state("loads") == "verified submodule_missing", message(run, "loads")
    assert f"without its submodule lib_gone of {gone.url} (" in message(run, "loads")
    assert "not found" in message(run, "loads")
    assert run.state("needs") == "failed submodule_missing"
    assert "Its import then failed" in message(run, "needs")
    assert run.state("nested") == "verified submodule_missing"
    assert "submodule outer/inner" in message(run, "nested")
    assert run.state("whole") == "verified"


def test_without_a_check_they_are_there_with_a_problem(verify: Verify, pack: MakePack, git_server: GitServer) -> None:
    gone = make_pack(git_server, "o", "gone-lib", files={"__init__.py": ""})
    git_server.set_rule("o/gone-lib", MISSING)
    run = verify([node(pack("p", submodules={"lib": gone})), pack("m", files={"m.bin": pointer()})], verify=False)
    assert run.state("p") == "installed submodule_missing"
    assert run.state("m") == "installed lfs_pointers"


@pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed")
@pytest.mark.parametrize("off", [False, True])
def test_where_git_lfs_is_installed_the_files_are_fetched(rig: Rig, pack: MakePack, tmp_path: Path, off: bool) -> None:
    """From wherever its configuration says; what cannot be had is told with its words. The login may switch it off."""
    content = b"weights" * 1000
    oid = hashlib.sha256(content).hexdigest()
    store = tmp_path / "store.git"
    place = store / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    git(store, "init", "-q", "--bare", ".")
    git(rig.home, "config", "--file", ".gitconfig", "lfs.url", f"file://{store}")
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    files = {".gitattributes": "*.pt filter=lfs diff=lfs merge=lfs -text\n"}
    rig.environ |= {"GIT_LFS_SKIP_SMUDGE": "1"} if off else {}
    run = rig.install(
        [node(pack("had", files={**files, "m.pt": text})), node(pack("lost", files={**files, "m.pt": pointer(900)}))]
    )
    assert run.state("had") == ("installed lfs_pointers" if off else "installed")
    assert ((rig.custom_nodes / "had" / "m.pt").read_bytes() == content) is not off
    assert not git(rig.custom_nodes / "had", "status", "--short")
    assert run.state("lost") == "installed lfs_pointers"
    assert ("GIT_LFS_SKIP_SMUDGE is set" in message(run, "lost")) is off
