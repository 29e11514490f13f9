"""Writes app/nodemap/core_versions.json: in which versions of ComfyUI each class of its own is.

    python -m tools.core_versions GIT_DIRECTORY 0.34.0=1.52.6 0.36.0=1.52.7

GIT_DIRECTORY is a copy of ComfyUI's repository with its history. Nothing in it is run: its files are read as of each
commit that set a version. Only the classes' names are kept, with the first and the last of the versions that have them,
and what a renamed one is called now. Of versions that are newer than the copy it is known which release of the pages
they have; core_classes.json says which classes that release knows.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from app.protocol.versions import version_key

_FOLDER = Path(__file__).parents[1] / "app/nodemap"
_OUT, _PAGES = _FOLDER / "core_versions.json", _FOLDER / "core_classes.json"
_VERSION = re.compile(r"""__version__ = ["'](\d+\.\d+\.\d+)["']""")
_PIN = re.compile(r"comfyui-frontend-package==([\d.]+)")
_REPLACED = "comfy_extras/nodes_replacements.py"
_FILES = re.compile(r"nodes\.py|comfy_extras/[^/]+\.py|comfy_api_nodes/nodes[^/]*\.py")


def main(directory: str, *newer: str) -> int:
    """Reads the history and writes the file."""
    pages = json.loads(_PAGES.read_text(encoding="utf-8"))
    copy = _Copy(directory, frozenset(pages["classes"]))
    classes: dict[str, list[str]] = {}
    pins: dict[str, str] = {}
    versions = copy.versions()
    for version, commit in versions.items():
        pins[version] = copy.pin(commit)
        for name in copy.classes(commit):
            classes.setdefault(name, [version, version])[1] = version
    for each in newer:
        version, _, pin = each.partition("=")
        pins[version] = pin
    newest = list(versions)[-1]
    found = {name: _span(when, newest) for name, when in classes.items()}
    found.update(_of_pages(pages, pins, classes))
    head = {"oldest": next(iter(versions)), "known_to": newest, "newest": max(pins, key=version_key)}
    _write({**head, "replaced": copy.replaced(versions[newest])}, found)
    print(f"{_OUT.name}: {len(found)} classes, {len(versions)} versions up to {newest}")
    return 0


def _span(when: list[str], newest: str) -> list[str]:
    return when[:1] if when[1] == newest else when


def _of_pages(
    pages: dict[str, dict[str, list[str]]], pins: dict[str, str], known: dict[str, list[str]]
) -> dict[str, list[str]]:
    """Classes that only the pages know, with the first version that has pages as new as those that first had them."""
    found = {}
    ordered = sorted(pins, key=version_key)
    for name, (since, *until) in pages["classes"].items():
        if name in known or until:
            continue
        versions = [
            version for version in ordered if pins[version] and version_key(pins[version]) >= version_key(since)
        ]
        found[name] = versions[:1]
    return found


def _write(head: dict[str, object], classes: dict[str, list[str]]) -> None:
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(when)}" for name, when in sorted(classes.items()))
    _OUT.write_text(f'{json.dumps(head)[:-1]}, "classes": {{\n{lines}\n}}}}\n', encoding="utf-8")


class _Copy:
    """A copy of ComfyUI's repository."""

    def __init__(self, directory: str, known: frozenset[str]) -> None:
        self._directory = directory
        self._known = known
        self._names: dict[str, set[str]] = {}

    def versions(self) -> dict[str, str]:
        """The commit that set each version, oldest first."""
        commits = self._git("log", "--reverse", "--format=%H", "--", "comfyui_version.py").split()
        found: dict[str, str] = {}
        for commit in commits:
            match = _VERSION.search(self._git("show", f"{commit}:comfyui_version.py"))
            if match:
                found[str(match.group(1))] = commit
        ordered: list[str] = sorted(found, key=version_key)
        return {version: found[version] for version in ordered}

    def pin(self, commit: str) -> str:
        """The release of the pages that this ComfyUI asks for; empty where it had them itself."""
        match = _PIN.search(self._git("show", f"{commit}:requirements.txt"))
        return match[1] if match else ""

    def classes(self, commit: str) -> set[str]:
        """The classes that the files name, and those of the pages' that stand in them as texts."""
        found: set[str] = set()
        for line in self._git("ls-tree", "-r", commit, "nodes.py", "comfy_extras/", "comfy_api_nodes/").splitlines():
            about, _, path = line.partition("\t")
            if _FILES.fullmatch(path) and path != _REPLACED:
                found |= self._of_file(about.split()[2])
        return found

    def replaced(self, commit: str) -> dict[str, str]:
        """What ComfyUI itself puts in the place of a class."""
        text = self._git("show", f"{commit}:{_REPLACED}")
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        given = [{word.arg: getattr(word.value, "value", None) for word in call.keywords} for call in calls]
        return {str(each["old_node_id"]): str(each["new_node_id"]) for each in given if "old_node_id" in each}

    def _of_file(self, blob: str) -> set[str]:
        if blob not in self._names:
            tree = ast.parse(self._git("cat-file", "blob", blob))
            texts = {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) if isinstance(node.value, str)
            }
            self._names[blob] = set(_names(tree)) | {text for text in texts if text.replace(".", "_") in self._known}
        return self._names[blob]

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", self._directory, *arguments]
        return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()


def _names(tree: ast.AST) -> Iterator[str]:
    """The keys of a file's mappings, and the ids of its schemas."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            if any(getattr(target, "id", "") == "NODE_CLASS_MAPPINGS" for target in node.targets):
                yield from _texts(node.value.keys)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "Schema":
            yield from _texts([word.value for word in node.keywords if word.arg == "node_id"] + node.args[:1])


def _texts(values: list[ast.expr] | list[ast.expr | None]) -> Iterator[str]:
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
