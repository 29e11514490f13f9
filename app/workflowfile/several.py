"""Several workflows as one: `merged`. What one of them is sure of decides what another leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.workflowfile.errors import TooMuch
from app.workflowfile.graph import Workflow
from app.workflowfile.limits import MAX_NODES

MAX_FILES = 50


@dataclass(frozen=True)
class Part:
    """One of the files that a list is made of. `name`: as its owner calls it; `version`: the oldest ComfyUI for which
    it was made, where its list says so."""

    workflow: Workflow
    name: str | None = None
    version: str | None = None


def merged(parts: Sequence[Part]) -> Workflow:
    """The nodes of all. Raises TooMuch."""
    if len(parts) == 1:
        return parts[0].workflow
    flows = [part.workflow for part in parts]
    nodes = tuple(node for flow in flows for node in flow.nodes)
    if len(nodes) > MAX_NODES:
        raise TooMuch(f"These workflows have more than {MAX_NODES} nodes together.")
    forms = {flow.form for flow in flows}
    models = tuple(model for flow in flows for model in flow.models)
    versions = {name: ver for flow in flows for name, ver in flow.node_versions.items()}
    return Workflow("ui" if "ui" in forms else "api", nodes, models, flows[0].frontend_version, versions)
