"""Archives as ComfyUI's registry has them, and such as nobody should unpack."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence


def zipped(
    files: Mapping[str, str | bytes], *, links: Mapping[str, str] | None = None, folders: Sequence[str] = ()
) -> bytes:
    """An archive with these files, symbolic links and folders."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in folders:
            archive.writestr(name.rstrip("/") + "/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
        for name, target in (links or {}).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            archive.writestr(entry, target)
    return raw.getvalue()


def pack_files(
    node_id: str, version: str, more: Mapping[str, str | bytes] | None = None, *, repository: str = ""
) -> dict[str, str | bytes]:
    """The files of a small pack as it is published: its pyproject.toml names it, its version and its repository."""
    urls = f'[project.urls]\nRepository = "{repository}"\n' if repository else ""
    project = f'[project]\nname = "{node_id}"\nversion = "{version}"\n{urls}[tool.comfy]\nPublisherId = "somebody"\n'
    return {
        "pyproject.toml": project,
        "__init__.py": f"NODE_CLASS_MAPPINGS = {{}}\n# {version}\n",
        **(more or {}),
    }


def bomb(size: int) -> bytes:
    """An archive with one file of so many zeros."""
    return zipped({"__init__.py": "", "zeros.bin": bytes(size)})


def twice(name: str) -> bytes:
    """An archive with two files of one name."""
    raw = io.BytesIO()
    other = "\x01" * len(name)
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "1")
        archive.writestr(zipfile.ZipInfo(other), "2")
    return raw.getvalue().replace(other.encode(), name.encode())
