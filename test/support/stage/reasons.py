"""Why packs of a played run failed: codes, sentences and hints as real runs have them."""

from __future__ import annotations

from dataclasses import dataclass

from app.protocol.snapshot import Problem


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail. `at`: in which phase (`clone`, `packages`, `script`, `import`); `log`: what the pack's log
    has of it, its deciding line last but one."""

    at: str
    problem: Problem
    log: str


FAILURES = (
    Failure(
        "clone",
        Problem(
            "repository_not_found_or_private",
            "The repository does not exist, or it is private and the instance has no login for it.",
            "Check the address in a browser. For a private one, put a token on the instance: git config --global "
            "credential.helper store",
        ),
        "Cloning into 'PACK'...\nremote: Repository not found.\n"
        "fatal: Authentication failed for 'https://github.com/'\n",
    ),
    Failure(
        "packages",
        Problem(
            "build_failed",
            "insightface has no ready-made build for this Python and could not be compiled.",
            "Look at the pack's log: a compiler or a system library may be missing. On the instance: apt-get install "
            "-y build-essential",
        ),
        "Building insightface==0.7.3\n      running build_ext\n"
        "      building 'insightface.thirdparty.face3d' extension\n"
        "      error: command 'g++' failed: No such file or directory\nerror: Failed to build `insightface==0.7.3`\n",
    ),
    Failure(
        "import",
        Problem(
            "module_missing",
            "ComfyUI cannot load the pack: No module named 'matplotlib'.",
            "On the instance: /workspace/ComfyUI/venv/bin/python -m pip install matplotlib",
        ),
        'Traceback (most recent call last):\n  File "/workspace/ComfyUI/nodes.py", line 2131, in load_custom_node\n'
        '  File "/workspace/ComfyUI/custom_nodes/PACK/__init__.py", line 4, in <module>\n    import matplotlib\n'
        "ModuleNotFoundError: No module named 'matplotlib'\n",
    ),
    Failure(
        "clone",
        Problem(
            "transfer_cut",
            "The git server broke off the download, three times.",
            "Retry it: mostly it goes well a few minutes later.",
        ),
        "Cloning into 'PACK'...\nerror: RPC failed; curl 18 transfer closed with outstanding read data remaining\n"
        "fatal: early EOF\n",
    ),
    Failure(
        "script",
        Problem(
            "script_failed",
            "The pack's install.py ended with exit status 1: FileNotFoundError: 'ffmpeg'.",
            "On the instance: apt-get install -y ffmpeg",
        ),
        'running install.py\nTraceback (most recent call last):\n  File "install.py", line 12, in <module>\n'
        "FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'\nexit status 1\n",
    ),
    Failure(
        "import",
        Problem(
            "import_failed",
            "ComfyUI cannot load the pack: cannot import name 'MotionWrapper' from 'diffusers.models'.",
            "The pack and the installed diffusers do not match: update the pack, or ask its author which it needs.",
        ),
        "Traceback (most recent call last):\n"
        '  File "/workspace/ComfyUI/custom_nodes/PACK/nodes.py", line 9, in <module>\n'
        "    from diffusers.models import MotionWrapper\n"
        "ImportError: cannot import name 'MotionWrapper' from 'diffusers.models'\n",
    ),
    Failure(
        "packages",
        Problem(
            "requirement_not_found",
            "No package index has taichi-nightly==1.8.",
            "Ask the pack's author, or take the line out of its requirements.txt.",
        ),
        "ERROR: No matching distribution found for taichi-nightly==1.8\nerror: no solution found\n",
    ),
)
PROBLEMS = (
    Problem(
        "requirement_conflict",
        "What the pack requires does not go with what is installed. Because you require numpy>=2 and numpy<2.",
        "The other party: ComfyUI-nunchaku (numpy>=2). Leave one of them out, or ask its author for wider bounds.",
    ),
    Problem(
        "lfs_pointers",
        "Its large files are not here: git-lfs is not installed on the instance.",
        "On the instance: apt-get install -y git-lfs && git lfs pull",
    ),
)
SKIPPED = (
    Problem("same_repository", "It is the same repository as another pack of the list.", "One of them is enough."),
    Problem("pack_disabled", "The pack is installed and disabled.", "Enable it in ComfyUI-Manager, or reinstall it."),
)
ROLLED_BACK = Problem("rolled_back", "It did not exist before the run, and was removed again.")
QUICK_ENDS = {
    "disk_full": Problem(
        "disk_full",
        "The disk of /workspace is full: 0 bytes are free.",
        "Free some space on the instance, for example with: uv cache clean",
    ),
    "ui_home_not_found": Problem(
        "ui_home_not_found",
        "There is no ComfyUI in the usual places.",
        "Name its folder (Options, ComfyUI's folder).",
    ),
}
