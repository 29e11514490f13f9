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
from app.workflowfile.several import MAX_FILES, Part, merged

FORMS = ("workflow", "workflow_file", "template")
RUN, OPEN = "run", "open"
BESIDES = frozenset({"answers", "needed", "remember"})
"""What a manifest with a workflow may have besides."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The graphs of one workflow of a manifest."""

    graphs: Graphs
    name: str | None = None
    version: str | None = None


def sent_in(manifest: Mapping[str, Any], files: WorkflowFiles) -> list[Sent]:
    """The graphs of a manifest's workflows; none for a manifest of another form. Raises InvalidManifest,
    WorkflowFileNotFound, TemplatesMissing, TemplateNotFound."""
    form = next((name for name in FORMS if name in manifest), None)
    if form is None:
        return []
    value = manifest[form]
    if form == "template":
        known, graphs = templates.find(value if isinstance(value, str) else "")
        return [Sent(graphs, known.name, known.min_comfyui_version)]
    if form == "workflow":
        with_field = _Field("manifest.workflow")
        return [Sent(with_field.read(lambda: graphs_of({"": value}, "manifest.workflow")))]
    ids = value if isinstance(value, list) else [value]
    if not 0 < len(ids) <= MAX_FILES:
        raise InvalidManifest(
            f"workflow_file is a file's id, or 1 to {MAX_FILES} of them.", field="manifest.workflow_file"
        )
    found = [files.find(each) for each in dict.fromkeys(map(_uuid, ids))]
    return [Sent(each.graphs, each.name) for each in found]
