"""Several workflows as one: what one of them is sure of decides what another leaves open."""

from __future__ import annotations

from collections.abc import Sequence

from app.workflowfile.errors import TooMuch
from app.workflowfile.graph import Workflow
from app.workflowfile.limits import MAX_NODES

MAX_FILES = 50


def merged(workflows: Sequence[Workflow]) -> Workflow:
    """The nodes and models of all. Raises TooMuch."""
    if len(workflows) == 1:
        return workflows[0]
    nodes = tuple(node for each in workflows for node in each.nodes)
    if len(nodes) > MAX_NODES:
        raise TooMuch(f"These workflows have more than {MAX_NODES} nodes together.")
    return Workflow(
        "ui" if any(each.form == "ui" for each in workflows) else "api",
        nodes,
        tuple(model for each in workflows for model in each.models),
        workflows[0].frontend_version,
        {name: version for each in workflows for name, version in each.node_versions.items()},
        sum(each.unreadable for each in workflows),
    )
