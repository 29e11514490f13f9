"""The workflows that a manifest names: its own, one or several files, an official template. And which of them wants
what."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidManifest
from app.sync import templates
from app.sync.workflow_files import WorkflowFiles
from app.workflowfile.errors import WorkflowFileError
from app.workflowfile.forms import Graphs, graphs_of
from app.workflowfile.graph import Workflow, read_workflow
from app.workflowfile.models import models_of
from app.workflowfile.several import MAX_FILES, merged

FORMS = ("workflow", "workflow_file", "template")
BESIDES = frozenset({"answers", "needed", "remember", "without"})
"""What a manifest with a workflow may have besides."""
RUN, OPEN = "run", "open"
_MOST_WITHOUT = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One workflow of a manifest. `name`: of its file or template; `version`: the oldest ComfyUI for which it was made,
    where the list of templates says so; `models_size`: of its models in bytes, alike."""

    graphs: Graphs
    workflow: Workflow
    name: str | None = None
    version: str | None = None
    models_size: int | None = None


@dataclass(frozen=True, slots=True)
class Extent:
    """What a person wants of a workflow: `opens`: also what only opens it without red nodes; `without`: packs that are
    left out, by address or id."""

    opens: bool = False
    without: frozenset[str] = frozenset()


def parts_in(manifest: Mapping[str, Any], files: WorkflowFiles) -> list[Part]:
    """The workflows of a manifest; none for one of another form. Raises InvalidManifest, WorkflowFileNotFound,
    TemplatesMissing, TemplateNotFound."""
    form = next((name for name in FORMS if name in manifest), None)
    if form is None:
        return []
    if set(manifest) - {form} - BESIDES:
        raise InvalidManifest(
            f"A manifest with {form} has nothing else but answers, remember, needed and without.", field="manifest"
        )
    try:
        return _parts(form, manifest[form], files)
    except WorkflowFileError as exc:
        raise InvalidManifest(str(exc), field=f"manifest.{form}", code=exc.code) from exc


def _parts(form: str, value: Any, files: WorkflowFiles) -> list[Part]:
    if form == "template":
        known, graphs = templates.find(value)
        return [Part(graphs, read_workflow(graphs), known.title, known.min_comfyui_version, known.size)]
    if form == "workflow":
        graphs = graphs_of({"": value}, "manifest.workflow")
        return [Part(graphs, read_workflow(graphs))]
    ids = value if isinstance(value, list) else [value]
    if not 0 < len(ids) <= MAX_FILES:
        raise InvalidManifest(
            f"workflow_file is a file's id, or 1 to {MAX_FILES} of them.", field="manifest.workflow_file"
        )
    found = [files.find(each) for each in dict.fromkeys(map(_uuid, ids))]
    return [Part(each.graphs, read_workflow(each.graphs), each.name) for each in found]


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else str(uuid.UUID(""))
    except ValueError:
        raise InvalidManifest(
            "workflow_file is not the id of a workflow file.", field="manifest.workflow_file"
        ) from None


def one_workflow(parts: Sequence[Part]) -> Workflow:
    """All of them as one. Raises InvalidManifest."""
    try:
        return merged([part.workflow for part in parts])
    except WorkflowFileError as exc:
        raise InvalidManifest(str(exc), field="manifest", code=exc.code) from exc


def wanted_in(manifest: Mapping[str, Any]) -> Extent:
    """What a person wants of the workflow. Raises InvalidManifest."""
    needed, without = manifest.get("needed", RUN), manifest.get("without", [])
    if needed not in (RUN, OPEN):
        raise InvalidManifest("needed is run, or open.", field="manifest.needed")
    if (
        not isinstance(without, list)
        or len(without) > _MOST_WITHOUT
        or not all(isinstance(each, str) for each in without)
    ):
        raise InvalidManifest("without is a list of packs' addresses or ids.", field="manifest.without")
    return Extent(needed == OPEN, frozenset(without))


def with_files(found: dict[str, Any], parts: Sequence[Part]) -> dict[str, Any]:
    """What workflows need with the numbers (from 0) of the files that want it."""
    classes = [part.workflow.classes(runs=False) for part in parts]
    models = [{model.name for model in models_of(part.workflow)} for part in parts]
    for each in found["evidence"]:
        each["files"] = [number for number, own in enumerate(classes) if not own.keys().isdisjoint(each["classes"])]
    for each in found["questions"]:
        each["files"] = [number for number, own in enumerate(classes) if each["class"] in own]
    for each in found["models"]:
        each["files"] = [number for number, own in enumerate(models) if each["name"] in own]
    return {**found, "files": [{"name": part.name, "models_size": part.models_size} for part in parts]}
