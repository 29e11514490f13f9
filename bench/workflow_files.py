"""ComfyUI's official templates, read and resolved without network. `python -m bench.workflow_files --templates DIR`.

DIR is the folder `templates` of the package comfyui-workflow-templates-json. What has to hold: every file is read, no
pack is chosen, every class that the known ComfyUI lacks is told as too new for it or asked for, every model that a file
declares is found, and no file takes longer than ten times what `json.loads` takes for its bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.nodemap.answer import Answer
from app.nodemap.core_classes import core_classes
from app.nodemap.core_versions import CoreVersions, core_versions
from app.nodemap.manager_map import ManagerMap, read_manager_map
from app.nodemap.resolve import Sources, resolve
from app.protocol.versions import version_key
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.graph import read_workflow
from app.workflowfile.models import Model, models_of
from app.workflowfile.read_file import read_file

MOST_RATIO = 10.0
KNOWN = "0.33.0"
_TRIES = 30
_MOST_SECONDS = 600.0


@dataclass
class Figures:
    """What the files came to."""

    files: int = 0
    unread: list[str] = field(default_factory=list)
    chosen: Counter[str] = field(default_factory=Counter)
    too_new: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    since: dict[str, str] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    declared: set[str] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)
    ratios: list[tuple[float, float, str]] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)


def main(argv: Sequence[str] | None = None) -> int:
    """Reads every template; 0 when everything holds."""
    asked = _arguments().parse_args(argv)
    index = _index(asked.templates)
    known = _manager_map(asked.map)
    figures = Figures()
    end = time.monotonic() + _MOST_SECONDS
    for path in sorted(asked.templates.glob("*.json")):
        raw = path.read_bytes()
        if path.name.startswith("index") or not _is_graph(raw):
            continue
        if time.monotonic() > end:
            figures.unread.append("(no time left)")
            break
        made_for = index.get(path.stem)
        sources = Sources(
            core_classes(), known, core_versions=core_versions(), comfyui_version=asked.comfyui, made_for=made_for
        )
        _read(path.stem, raw, sources, figures)
    _print(figures, asked.comfyui)
    return 0 if _holds(figures, known) else 1


def _read(name: str, raw: bytes, sources: Sources, figures: Figures) -> None:
    figures.files += 1
    try:
        models, answer = _needs(raw, sources)
    except WorkflowFileError as exc:
        figures.unread.append(f"{name}: {exc}")
        return
    plain, whole = _seconds(lambda: json.loads(raw), lambda: _needs(raw, sources))
    figures.ratios.append((whole / plain, whole, name))
    figures.chosen.update(each.pack.repo_url or str(each.pack.registry_id) for each in answer.needed)
    for each in answer.too_new:
        figures.too_new[each].append(name)
    for core_class in answer.core_needs.classes if answer.core_needs else ():
        if core_class.name in answer.too_new:
            figures.since[core_class.name] = core_class.since or f"newer than {core_versions().newest}"
    for question in answer.questions:
        figures.asked[question.class_name].append(name)
    declared = set(_declared(json.loads(raw)))
    figures.declared |= declared
    found = {each.file_name for each in models if each.folder and each.url}
    figures.missed += [f"{name}: {model}" for model in sorted(declared) if model.rpartition("/")[2] not in found]
    figures.lacking |= _lacking(raw, answer, sources)


def _lacking(raw: bytes, answer: Answer, sources: Sources) -> set[str]:
    """Classes of which the known ComfyUI has none, and of which nothing is said."""
    workflow = read_workflow(read_file(io.BytesIO(raw)).graphs)
    versions: CoreVersions | None = sources.core_versions
    said = {*answer.too_new, *answer.gone, *answer.virtual, *(each.class_name for each in answer.questions)}
    said |= {name for each in answer.needed for name in each.classes}
    lacked = {name for name in workflow.classes(runs=False) if versions and not versions.has(name, KNOWN)}
    return lacked - said if sources.comfyui_version == KNOWN else set()


def _needs(raw: bytes, sources: Sources) -> tuple[list[Model], Answer]:
    """From the file's bytes to all that is said of it."""
    workflow = read_workflow(read_file(io.BytesIO(raw)).graphs)
    return models_of(workflow), resolve(workflow, sources)


def _seconds(*works: Callable[[], object]) -> list[float]:
    """The shortest of some tries of each, in turn, in this thread's own time: other load on the machine hardly
    counts."""
    best = [float("inf")] * len(works)
    for _ in range(_TRIES):
        for at, work in enumerate(works):
            begun = time.thread_time()
            work()
            best[at] = min(best[at], time.thread_time() - begun)
    return best


def _declared(value: Any) -> Iterator[str]:
    """The names of all models that are declared with an address anywhere in a file."""
    if isinstance(value, dict):
        models = value.get("models")
        for each in models if isinstance(models, list) else ():
            if isinstance(each, dict) and each.get("url") and isinstance(each.get("name"), str):
                yield each["name"]
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _declared(inner)


def _is_graph(raw: bytes) -> bool:
    value = json.loads(raw)
    return isinstance(value, dict) and "nodes" in value


def _index(folder: Path) -> Mapping[str, str | None]:
    groups = json.loads((folder / "index.json").read_bytes())
    return {each["name"]: each.get("minComfyUIVersion") for group in groups for each in group["templates"]}


def _manager_map(folder: Path | None) -> ManagerMap:
    if folder is None:
        return ManagerMap()
    names = ("extension-node-map.json", "custom-node-list.json", "github-stats.json")
    return read_manager_map(*(json.loads((folder / name).read_bytes()) for name in names))


def _holds(figures: Figures, known: ManagerMap) -> bool:
    slow = any(ratio > MOST_RATIO for ratio, _, _ in figures.ratios)
    chosen = bool(figures.chosen) and not known.urls
    return figures.files > 0 and not (figures.unread or chosen or figures.missed or figures.lacking or slow)


def _print(figures: Figures, version: str | None) -> None:
    ratios = sorted(figures.ratios)
    middle = ratios[len(ratios) // 2][0] if ratios else 0.0
    found, ours = len(figures.declared) - len(figures.missed), figures.files - len(figures.unread)
    print(f"files read                  {ours} of {figures.files}")
    print(f"packs chosen                {len(figures.chosen)} {dict(figures.chosen) or ''}")
    print(f"models found                {found} of {len(figures.declared)} declared")
    print(f"classes nothing is said of  {len(figures.lacking)} {sorted(figures.lacking) or ''}")
    if ratios:
        print(f"time beside json.loads      median {middle:.1f}, most {ratios[-1][0]:.1f} ({ratios[-1][2]})")
    print(f"all files                   {sum(seconds for _, seconds, _ in ratios):.2f} s")
    for each in figures.unread + figures.missed:
        print(f"  {each}")
    print(f"\nToo new for {'ComfyUI ' + version if version else 'the newest known ComfyUI'}:")
    for name in sorted(figures.too_new, key=lambda name: (version_key(figures.since.get(name)), name)):
        print(f"  {name:<45} {figures.since.get(name, 'not run'):<18} {len(figures.too_new[name])} templates")
    print("\nAsked for:")
    for name, files in sorted(figures.asked.items()):
        print(f"  {name:<45} {', '.join(files[:3])}")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.workflow_files", description=__doc__)
    parser.add_argument("--templates", type=Path, required=True, help="the folder with the templates")
    parser.add_argument("--comfyui", default=KNOWN, help=f"the ComfyUI that is asked about (default {KNOWN})")
    parser.add_argument("--map", type=Path, help="a folder with ComfyUI-Manager's files (default: none is known)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
