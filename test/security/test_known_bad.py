"""What is known to be malicious is refused whatever the policies say, with the reason and where to read about it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from app.protocol.events import Warned
from app.protocol.known_bad import KnownBads, read_known_bad
from app.protocol.known_bad_list import PUBLISHED
from app.standin.git_server import GitServer
from app.standin.packs import make_pack
from test.plan.box import Box
from test.plan.conftest import box, box_factory, index
from test.runner.conftest import old_python, rig, rig_factory
from test.runner.rig import Rig, Run, git, node
from test.support.package_index import PackageIndex

__all__ = ["box", "box_factory", "index", "old_python", "rig", "rig_factory"]
LLMVISION = "https://github.com/AppleBotzz/ComfyUI_LLMVISION"
CANARY = "import os\nopen(os.path.expanduser('~/canary'), 'a').write('ran')\n"


def known(**what: Any) -> list[dict[str, Any]]:
    """A list of one's own with one case."""
    about = {"name": "evil", "what": "it takes keys", "date": "2026-01", "source": "https://example.invalid/report"}
    return [{**about, **what}]


def said(run: Run, name: str) -> str:
    """Why a pack is not good, or not all of it, and what to do."""
    error = run.snapshot().nodes[name].error
    return f"{error.message} {error.hint}" if error else ""


@pytest.mark.parametrize(
    "address",
    [
        LLMVISION,
        f"{LLMVISION}.git/",
        "https://GitHub.com/applebotzz/comfyui_llmvision",
        "https://github.com//AppleBotzz//ComfyUI_LLMVISION",
        "https://github.com/%41ppleBotzz/ComfyUI_LLMVISION",
        "https://user:token@github.com:443/AppleBotzz/ComfyUI_LLMVISION",
        "git@github.com:AppleBotzz/ComfyUI_LLMVISION.git",
        "ssh://git@ssh.github.com:443/AppleBotzz/ComfyUI_LLMVISION",
        "https://ghproxy.example/https://github.com/AppleBotzz/ComfyUI_LLMVISION",
        f"git+{LLMVISION}@main#egg=openai",
        f"openai @ {LLMVISION}/releases/download/v1/openai-1.16.3-py3-none-any.whl",
        "https://github.com./AppleBotzz/ComfyUI_LLMVISION",
        "https://codeload.github.com/AppleBotzz/ComfyUI_LLMVISION/zip/refs/heads/main",
        "openai @ https://raw.githubusercontent.com/AppleBotzz/ComfyUI_LLMVISION/main/openai-1.16.3-py3-none-any.whl",
        "https://media.githubusercontent.com/media/AppleBotzz/ComfyUI_LLMVISION/main/a.whl",
        "https://api.github.com/repos/AppleBotzz/ComfyUI_LLMVISION/tarball",
    ],
)
def test_another_spelling_of_an_address_is_the_same_address(address: str) -> None:
    assert KnownBads(PUBLISHED).of_address(address) is not None


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/AppleBotzzz/x",
        "https://github.com/o/AppleBotzz",
        "https://github.com",
        "",
        "a==1",
        "x" * 9000,
    ],
)
def test_others_are_not_known_to_be_bad(address: str) -> None:
    assert KnownBads(PUBLISHED).of_address(address) is None


def test_every_published_case_has_a_source_and_can_be_read_as_a_list_of_ones_own() -> None:
    assert all(each.source.startswith("https://") and each.what and each.date for each in PUBLISHED)
    entries = [
        {
            **{k: list(v) if isinstance(v, tuple) else v for k, v in vars(each).items()},
            "packages": {name: list(versions) for name, versions in each.packages.items()},
        }
        for each in PUBLISHED
    ]
    assert read_known_bad(entries) == list(PUBLISHED)


@pytest.mark.parametrize(
    "given",
    [
        {},
        [1],
        [{}],
        known(),
        known(hashes=["abc"]),
        known(packs="evil"),
        known(packages={"a": "1"}),
        known(packs=["a\nb"]),
        known(packs=["a"], more=1),
        known(packs=["a"], source=""),
        known(packs=["a"]) * 2001,
    ],
)
def test_a_list_that_cannot_be_used_is_refused_with_words(given: Any) -> None:
    with pytest.raises(ValueError, match=r"it is not a list|entry 1"):
        read_known_bad(given)


@pytest.mark.slow
def test_packs_that_are_known_to_be_bad_are_not_brought(rig: Rig, git_server: GitServer) -> None:
    """By address, by name in anybody's hands, by commit, by a file in them; and one that is there already is told, left
    as it is, and not imported."""
    file = "# takes keys\n"
    commit = make_pack(git_server, "o", "bad-commit")
    packs = [
        {"name": "vision", "repo_url": LLMVISION},
        node(make_pack(git_server, "other", "comfyui_llmvision", files={"__init__.py": CANARY})),
        node(commit),
        node(make_pack(git_server, "o", "bad-file", files={"deep/down/helper.py": file})),
        node(make_pack(git_server, "o", "good")),
    ]
    there = make_pack(git_server, "o", "there", files={"__init__.py": CANARY})
    git(rig.custom_nodes, "clone", "-q", there.url, "another-name")
    bad = known(hashes=[commit.commit, hashlib.sha256(file.encode()).hexdigest()], addresses=[there.url[7:]])
    run = rig.install(packs, known_bad=bad, options={"verify": True, "run_scripts": False})
    assert {name: run.state(name) for name in run.snapshot().nodes} == {
        "vision": "failed known_bad",
        "comfyui_llmvision": "failed known_bad",
        "bad-commit": "failed known_bad",
        "bad-file": "failed known_bad",
        "good": "verified",
    }
    assert "https://github.com/AppleBotzz/ComfyUI_LLMVISION/issues/6" in said(run, "vision")
    assert "deep/down/helper.py" in said(run, "bad-file")
    [warning] = run.told(Warned, code="known_bad_present")
    assert "custom_nodes/another-name" in warning.message and "https://example.invalid/report" in warning.hint
    assert {path.name for path in rig.custom_nodes.iterdir() if path.is_dir()} >= {"another-name", "good"}
    assert not (rig.custom_nodes / "vision").exists() and not (rig.home / "canary").exists()


@pytest.mark.slow
def test_packages_that_are_known_to_be_bad_are_not_installed(box: Box, index: PackageIndex) -> None:
    """A range takes another version, also where something else asks for it; a pin, an address and a hash are left out
    with the reason; an install.py that calls uv does not get it either."""
    for version in ("8.3.40", "8.3.41", "8.3.42"):
        index.wheel("ultralytics", version)
    for name in ("good-tool", "evil-tool"):
        index.wheel(name, "1.0")
    index.wheel("needs-evil", "1.0", ["evil-tool"])
    address = index.wheel("takes-keys", "1.0")
    index.wheel("asks-for-it", "1.0", ["ultralytics>=8.3.40"])
    script = (
        "import subprocess, sys\nargv = ['uv', 'pip', 'install', '-U', 'ultralytics', '--python', sys.executable]\n"
    )
    packs = [
        box.pack("range", "asks-for-it", "ultralytics>=8"),
        box.pack("pin", "ultralytics==8.3.41"),
        box.pack("marked", "Ultralytics == 8.3.42 ; python_version > '3'"),
        box.pack("address", f"takes-keys @ {address}"),
        box.pack("wheel", f"{index.url}ultralytics/ultralytics-8.3.41-py3-none-any.whl"),
        box.pack("whole", "good-tool", "needs-evil"),
        box.pack("direct", "good-tool", "evil.tool>=1"),
        box.pack("script", install_py=script + "subprocess.run(argv)\n"),
    ]
    run = box.run_of(*packs, known_bad=known(addresses=[address[7:]], packages={"Evil_Tool": []}))
    assert {name: run.state(name) for name in run.snapshot().nodes} == {
        "range": "installed",
        "pin": "failed known_bad",
        "marked": "failed known_bad",
        "address": "failed known_bad",
        "wheel": "failed known_bad",
        "whole": "failed known_bad",
        "direct": "failed known_bad",
        "script": "installed",
    }
    found = box.freeze()
    assert (found["ultralytics"], found["good-tool"]) == ("8.3.40", "1.0")
    assert not {"takes-keys", "evil-tool", "needs-evil"} & found.keys()
    assert "https://github.com/ultralytics/ultralytics/pull/18018" in said(run, "pin")


@pytest.mark.slow
def test_a_lock_brings_nothing_that_is_known_to_be_bad(box: Box, index: PackageIndex) -> None:
    """And nothing that the policies refuse."""
    index.wheel("ultralytics", "8.3.41")
    index.wheel("good-tool", "1.0")
    address = index.wheel("direct-tool", "1.0")
    pack = make_pack(box.git, "o", "p")
    entry = {"name": pack.name, "repo_url": pack.url, "commit": pack.commit}
    packages = {"ultralytics": "8.3.41", "good-tool": "1.0", "direct-tool": "1.0"}
    lock = {"format": 1, "node_packs": [entry], "packages": packages, "sources": {"direct-tool": address}}
    run = box.install({"lock": lock}, policies={"direct_urls": "refuse"})
    assert {"ultralytics", "direct-tool", "good-tool"} & box.freeze().keys() == {"good-tool"}
    told = " ".join(each.message for each in run.told(Warned, code="lock_mismatch"))
    assert "known to be malicious" in told and "direct_urls=refuse" in told


@pytest.mark.slow
def test_an_installed_package_that_is_known_to_be_bad_is_told(box: Box, index: PackageIndex) -> None:
    """It was there before; a pack that asks for the package gets another version."""
    for version in ("8.3.40", "8.3.41"):
        index.wheel("ultralytics", version)
    box.have("ultralytics==8.3.41")
    run = box.run_of(box.pack("p", "ultralytics"))
    assert "ultralytics 8.3.41" in next(each.message for each in run.told(Warned, code="known_bad_present"))
    assert box.freeze()["ultralytics"] == "8.3.40"


@pytest.mark.parametrize("version", ["8.3.41", "v8.3.41", "8.3.41.0", "08.3.41", " 8.3.41+local"])
@pytest.mark.parametrize("name", ["ultralytics", "ULTRALYTICS"])
def test_another_spelling_of_a_version_is_the_same_version(name: str, version: str) -> None:
    assert KnownBads(PUBLISHED).of_package(name, version) is not None


@pytest.mark.parametrize("version", ["8.3.410", "8.3.4", "8.3.41.1", "8.3.41rc1", "18.3.41", ""])
def test_another_version_is_another_version(version: str) -> None:
    assert KnownBads(PUBLISHED).of_package("ultralytics", version) is None
