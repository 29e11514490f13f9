"""What packs' own code writes outside of its pack's folder is told, with who did it; what packs do honestly is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.standin.git_server import GitServer
from app.standin.instance import StandIn
from app.standin.packs import Pack, PackSource, make_pack
from test.sync.conftest import Bench, bench, bench_factory, instance, instances  # noqa: F401 - fixtures

pytestmark = pytest.mark.sshd

BEGIN = """
import glob, os, time
home = os.environ["COMFYUI_PATH"]
packs = os.path.join(home, "custom_nodes")
def write(*parts, text="x"):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "a") as file:
        file.write(text)
"""
SCRIPTS = {
    "a-core": "write(home, 'main.py', text='# patched\\n'); write(home, 'comfy', 'extra.py')",
    "b-pack": "write(packs, 'Victim', '__init__.py', text='# evil\\n')",
    "c-removes": "os.unlink(os.path.join(packs, 'Victim', 'nodes', 'b.py'))",
    "d-hides": (
        "path = os.path.join(packs, 'Victim', 'nodes', 'a.py'); found = os.stat(path)\n"
        "write(path); os.truncate(path, found.st_size); os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))"
    ),
    "e-git": "write(packs, 'Victim', '.git', 'config', text='[core]\\n\\tfsmonitor = touch x\\n')",
    "f-login": "write(os.path.expanduser('~/.bashrc')); write(os.path.expanduser('~/.ssh/authorized_keys'))",
    "g-top": "write(packs, 'loose.py')",
    "h-plants": "write(packs, 'Planted', '__init__.py')",
    "i-honest": (
        "write(home, 'models', 'checkpoints', 'm.bin'); write(home, 'input', 'i.png'); write(home, 'user', 'u.json')\n"
        "write('own.json'); write(os.path.expanduser('~/.cache/huggingface/x')); write(packs, 'a.log')"
    ),
    "j-first": "write(packs, 'k-later', 'nodes.py')",
    "k-later": "write('own.json')",
    "l-takes": "import shutil; shutil.rmtree(os.path.join(packs, 'Gone'))",
}
TOLD = {
    "a-core": {"main.py", "comfy/extra.py"},
    "b-pack": {"custom_nodes/Victim/__init__.py"},
    "c-removes": {"custom_nodes/Victim/nodes/"},
    "d-hides": {"custom_nodes/Victim/nodes/a.py"},
    "e-git": {"custom_nodes/Victim/.git/config"},
    "f-login": {"~/.bashrc", "~/.ssh/authorized_keys"},
    "g-top": {"custom_nodes/loose.py"},
    "h-plants": {"custom_nodes/Planted/"},
    "j-first": {"custom_nodes/k-later/nodes.py"},
    "l-takes": {"custom_nodes/Gone/"},
}


SUBTLE = {
    "m-link": (
        "victim = os.path.join(packs, 'Linked')\nos.rename(os.path.join(victim, '.git'), os.path.join(packs, '.old'))\n"
        "write(victim, '.git', text='gitdir: ../.old\\n')"
    ),
    "n-module": "write(packs, 'Modules', '.git', 'modules', 'lib', 'config', text='[filter \"x\"]\\n')",
    "o-covers": "os.unlink(os.path.join(packs, 'Covered', 'nodes', 'b.py')); write(packs, 'Covered', 'nodes', 'x.log')",
    "p-moves": (
        "os.rename('nodes', os.path.join(packs, 'Moved', 'nodes'))\nwrite(packs, 'Moved', 'nodes', 'x.log')\n"
        "write(packs, 'Moved', 'x.log')"
    ),
    "q-git": (
        "import shutil\nfolder = os.path.join(packs, 'Moved-git')\nshutil.rmtree(os.path.join(folder, '.git'))\n"
        "os.rename('dotgit', os.path.join(folder, '.git'))\nwrite(folder, 'x.log')"
    ),
}
"""Nothing of what is told here has a time of its own that tells."""
SUBTLY = {
    "m-link": {"custom_nodes/Linked/.git"},
    "n-module": {"custom_nodes/Modules/.git/modules/lib/config"},
    "o-covers": {"custom_nodes/Covered/nodes/"},
    "p-moves": {"custom_nodes/Moved/"},
    "q-git": {"custom_nodes/Moved-git/"},
}
FILES = {"p-moves": {"nodes/a.py": "x"}, "q-git": {"dotgit/config": "[core]\n\tfsmonitor = touch x\n"}}
"""What came with the pack: its times are those of the clone, wherever it is moved to."""


def made(git_server: GitServer, **scripts: str) -> list[Pack]:
    return [
        make_pack(git_server, "standin", name, PackSource(install_py=f"{BEGIN}\n{script}\n", files=FILES.get(name, {})))
        for name, script in scripts.items()
    ]


def told(end: dict[str, Any], code: str = "wrote_outside") -> dict[str, set[str]]:
    """By the pack: the files that were told."""
    found = {}
    for warning in end["warnings"]:
        if warning["code"] == code:
            who, _, files = warning["message"].partition(", files outside of its own folder were written or removed: ")
            found[who.rpartition(" of ")[2].removesuffix(" ran")] = set(files.rstrip(".").split(", "))
    return found


def put_victims(custom_nodes: Path) -> None:
    """Packs that are there already."""
    usual = ("__init__.py", "nodes/a.py", "nodes/b.py", ".git/config", ".git/modules/lib/config")
    for name in ("Victim", "Gone", "Linked", "Modules", "Covered", "Moved", "Moved-git"):
        for file in usual[: 1 if name == "Moved" else None]:
            path = custom_nodes / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("NODE_CLASS_MAPPINGS = {}\n" if file.endswith(".py") else "[core]\n")


@pytest.mark.timeout(120)
def test_each_script_is_told_with_what_it_wrote_elsewhere(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    git_server: GitServer,
) -> None:
    """ComfyUI's code, another pack, its git configuration, the login's files, loose files, a planted pack, a removed
    one; also where times were set back. Not models, inputs, caches, logs and the pack's own files."""
    put_victims(instance.custom_nodes)
    task_id = bench.start(instance.ssh_command, *made(git_server, **SCRIPTS), ui_home=instance.ui_home, verify=False)
    end = bench.ended(task_id)
    assert [node["state"] for node in end["nodes"]] == ["installed"] * len(SCRIPTS)
    assert told(end) == TOLD
    hints = {warning["hint"] for warning in end["warnings"] if warning["code"] == "wrote_outside"}
    assert ["Nothing was put back" in hint for hint in hints] == [True]


def test_what_a_script_hides_among_what_is_not_told_is_told(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    git_server: GitServer,
) -> None:
    """Files that go while a log comes, folders that come with files as old as the clone, another repository."""
    put_victims(instance.custom_nodes)
    task_id = bench.start(instance.ssh_command, *made(git_server, **SUBTLE), ui_home=instance.ui_home, verify=False)
    end = bench.ended(task_id)
    assert told(end) == SUBTLY


def test_the_runs_own_notes_are_put_back(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    git_server: GitServer,
) -> None:
    """The request, and what a rollback goes by; what was compiled for later calls is gone."""
    script = (
        "[folder] = glob.glob(os.path.expanduser('~/.local/state/nodeferry/*-*-*-*-*'))\n"
        "for name in ('request.json', 'packs-before.json'):\n"
        "    write(folder, name, text='{}')\n"
        "for path in glob.glob(os.path.expanduser('~/.local/state/nodeferry/bin/*.compiled')):\n"
        "    write(path)\n"
    )
    [pack] = made(git_server, forger=script)
    task_id = bench.start(instance.ssh_command, pack, ui_home=instance.ui_home, verify=False)
    end = bench.ended(task_id)
    [warning] = end["warnings"]
    assert warning["code"] == "own_files_changed"
    assert "packs-before.json, request.json" in warning["message"]
    state = instance.home / ".local/state/nodeferry"
    assert json.loads((state / task_id / "request.json").read_text())["task_id"] == task_id
    assert json.loads((state / task_id / "packs-before.json").read_text())["packs"][0]["name"] == "forger"


def test_what_imports_write_into_comfyui_is_told(
    bench: Bench,  # noqa: F811
    instance: StandIn,  # noqa: F811
    git_server: GitServer,
) -> None:
    init = (
        "import os\nhere = os.path.dirname(os.path.abspath(__file__))\n"
        "open(os.path.join(here, '..', '..', 'nodes.py'), 'a').write('# patched')\n"
        "open(os.path.join(here, 'cache.json'), 'w').write('{}')\nNODE_CLASS_MAPPINGS = {}\n"
    )
    pack = make_pack(git_server, "standin", "patches", PackSource(files={"__init__.py": init}))
    end = bench.ended(bench.start(instance.ssh_command, pack, ui_home=instance.ui_home))
    assert told(end) == {"the packs": {"nodes.py"}}
