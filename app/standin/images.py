"""What common public images set for pip and uv, as their Dockerfiles have it. A row is an image or a family of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Image:
    """`variables`: `{root}` stands for a folder of the image's own."""

    name: str
    variables: tuple[tuple[str, str], ...]
    constraints: str = ""
    """The text of `{root}/pip-constraint.txt`; empty for none."""

    def environ(self, root: Path) -> dict[str, str]:
        """The variables on a machine whose root is this folder. Makes what they name."""
        if self.constraints:
            root.mkdir(parents=True, exist_ok=True)
            (root / "pip-constraint.txt").write_text(self.constraints, "utf-8")
        return {name: value.replace("{root}", str(root)) for name, value in self.variables}


IMAGES = (
    Image(
        "vast.ai",
        (
            ("PIP_BREAK_SYSTEM_PACKAGES", "1"),
            ("UV_CACHE_DIR", "{root}/.uv/cache"),
            ("UV_NO_CACHE", "1"),
            ("UV_LINK_MODE", "copy"),
            ("UV_PYTHON_BIN_DIR", "{root}/.uv/python_bin"),
            ("UV_PYTHON_INSTALL_DIR", "{root}/.uv/python_install"),
        ),
    ),
    Image(
        "vast.ai, studio",
        (("UV_NO_CACHE", "1"), ("UV_LINK_MODE", "copy"), ("UV_TORCH_BACKEND", "cu128")),
    ),
    Image(
        "vast.ai, constraints",
        (("PIP_CONSTRAINT", "{root}/pip-constraint.txt"), ("UV_NO_CACHE", "1")),
        constraints="torch==2.4.0\nplain<9\n",
    ),
    Image(
        "RunPod base",
        (
            ("PIP_CACHE_DIR", "{root}/workspace/.cache/pip/"),
            ("UV_CACHE_DIR", "{root}/workspace/.cache/uv/"),
            ("PIP_BREAK_SYSTEM_PACKAGES", "1"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
        ),
    ),
    Image("RunPod worker", (("PIP_PREFER_BINARY", "1"), ("PIP_NO_INPUT", "1"), ("PIP_NO_CACHE_DIR", "1"))),
    Image(
        "NVIDIA", (("PIP_CONSTRAINT", "{root}/pip-constraint.txt"), ("PIP_DEFAULT_TIMEOUT", "100")), "torch==2.4.0\n"
    ),
    Image(
        "uv's own",
        (
            ("UV_SYSTEM_PYTHON", "1"),
            ("UV_COMPILE_BYTECODE", "1"),
            ("UV_LINK_MODE", "copy"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("UV_PYTHON_PREFERENCE", "only-managed"),
        ),
    ),
)
