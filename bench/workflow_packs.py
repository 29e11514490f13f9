"""Which packs are chosen for real workflow files, beside a table of the truth.

    python -m bench.workflow_packs --files DIR --map DIR [--truth FILE]

`--files` has workflow files of any kind, `--map` Manager's extension-node-map.json, custom-node-list.json and
github-stats.json. The truth is JSON: by file name, by class, the repositories whose source defines the class. Each
class is right, wrong, a question that nothing known could answer, or one that was needless: the map names the right
pack alone. Prints a table in Markdown; the exit status says whether every file was read and no pack is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.nodemap.answer import Answer
from app.nodemap.core_classes import core_classes
from app.nodemap.manager_map import ManagerMap, read_manager_map, repo_key
from app.nodemap.resolve import Sources, resolve
from app.protocol.repo_url import repo_name
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.graph import read_workflow
from app.workflowfile.read_file import read_file

_FILES = ("extension-node-map.json", "custom-node-list.json", "github-stats.json")
Truth = Mapping[str, Sequence[str]]


@dataclass
class Row:
    """What became of one file. `classes`: by verdict, the classes; `unread`: why it could not be read."""

    name: str
    kind: str = ""
    packs: tuple[str, ...] = ()
    classes: dict[str, list[str]] = field(default_factory=dict)
    unread: str | None = None

    @property
    def verdict(self) -> str:
        """The worst that can be said of the file."""
        if self.unread is not None:
            return "unread"
        worst = ("wrong", "needless question", "unproven")
        return next((verdict for verdict in worst if self.classes.get(verdict)), "right")

    def __str__(self) -> str:
        counts = ", ".join(f"{len(names)} {verdict}" for verdict, names in self.classes.items())
        packs = ", ".join(self.packs) or "none"
        return f"| {self.name} | {self.kind} | {packs} | {counts or self.unread or 'core only'} | {self.verdict} |"


def judged(path: Path, known: ManagerMap, truth: Truth) -> Row:
    """Reads one file, and holds what is chosen against the truth."""
    row = Row(path.name)
    try:
        with path.open("rb") as file:
            found = read_file(file)
        workflow = read_workflow(found.graphs)
    except WorkflowFileError as exc:
        row.unread = str(exc)
        return row
    answer = resolve(workflow, Sources(core_classes(), known))
    row.kind = found.kind
    row.packs = tuple(repo_name(str(each.pack.repo_url)) for each in answer.needed)
    for name, verdict in _verdicts(answer, known, truth):
        row.classes.setdefault(verdict, []).append(name)
    return row


def _verdicts(answer: Answer, known: ManagerMap, truth: Truth) -> Iterator[tuple[str, str]]:
    for each in answer.needed:
        for name in each.classes:
            right = {repo_key(url) for url in truth.get(name, ())}
            is_right = repo_key(each.pack.repo_url) in right
            yield name, "right" if is_right else "wrong" if right else "unproven"
    for question in answer.questions:
        right = {repo_key(url) for url in truth.get(question.class_name, ())}
        listed = known.packs_of.get(question.class_name, [])
        yield question.class_name, "needless question" if len(listed) == 1 and set(listed) <= right else "question"


def _map_in(folder: Path) -> ManagerMap:
    files: list[Any] = [json.loads((folder / name).read_text("utf-8")) for name in _FILES if (folder / name).exists()]
    return read_manager_map(*files)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.workflow_packs", description=__doc__)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--map", type=Path, required=True)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--classes", action="store_true", help="name the classes that are not right")
    chosen = parser.parse_args(arguments)
    known = _map_in(chosen.map)
    truths: Mapping[str, Truth] = json.loads(chosen.truth.read_text("utf-8")) if chosen.truth else {}
    rows = [judged(path, known, truths.get(path.name, {})) for path in sorted(chosen.files.iterdir()) if path.is_file()]
    print("| file | kind | packs | classes | verdict |\n|---|---|---|---|---|")
    for row in rows:
        print(row)
        for verdict, names in row.classes.items() if chosen.classes else ():
            if verdict != "right":
                print(f"    {verdict}: {', '.join(names)}", file=sys.stderr)
    counts = Counter(row.verdict for row in rows)
    print(f"\n{len(rows)} files: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return int(bool(counts["unread"] or counts["wrong"]))


if __name__ == "__main__":
    raise SystemExit(main())
