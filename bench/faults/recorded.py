"""What cannot be had on any machine at will: programs' recorded last words, and what is made of them. No run is played.

A quota needs a file system that has them, and a user who is not root."""

from __future__ import annotations

from dataclasses import dataclass

from app.runner.hints import reasons
from app.runner.process.children import Finished
from bench.faults.row import Row

TITLE = "by recorded messages"
_OF = {"git": reasons.of_git, "uv": reasons.of_packages, "install.py": reasons.of_script}
_QUOTA = "Free some space on the instance's disk (or raise its quota), then start again"


@dataclass(frozen=True, slots=True)
class Recorded:
    """`of`: the program whose words they are."""

    title: str
    of: str
    text: str
    code: str
    hint: str


RECORDED = (
    Recorded(
        "recorded: quota, git",
        "git",
        "error: unable to write file models/clip.py: Disk quota exceeded\nfatal: unable to checkout working tree\n"
        "warning: Clone succeeded, but checkout failed.\n",
        "disk_quota",
        _QUOTA,
    ),
    Recorded(
        "recorded: quota, uv",
        "uv",
        "error: Failed to install: scipy-1.14.1-cp312-cp312-manylinux_2_17_x86_64.whl (scipy==1.14.1)\n"
        "  Caused by: failed to copy file to `/workspace/venv/lib/python3.12/site-packages/scipy/version.py`: "
        "Disk quota exceeded (os error 122)\n",
        "disk_quota",
        _QUOTA,
    ),
    Recorded(
        "recorded: quota, install.py",
        "install.py",
        "Traceback (most recent call last):\n"
        '  File "/workspace/ComfyUI/custom_nodes/x/install.py", line 9, in <module>\n'
        "OSError: [Errno 122] Disk quota exceeded: 'models/sam.pth'\n",
        "disk_quota",
        _QUOTA,
    ),
)


def recorded_rows() -> list[Row]:
    """A row a message."""
    return [_row(each) for each in RECORDED]


def _row(recorded: Recorded) -> Row:
    problem = _OF[recorded.of](Finished(1, recorded.text.encode()))
    wrong = [f"expected {recorded.code}, found {problem.code}"] if problem.code != recorded.code else []
    if recorded.hint not in problem.hint:
        wrong.append(f"the hint should say: {recorded.hint}")
    return Row(TITLE, recorded.title, "", problem.code, problem.message, problem.hint, None, tuple(wrong))
