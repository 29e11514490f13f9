"""The models that a workflow names: declared ones with folder and URL, others by their name alone."""

from __future__ import annotations

from typing import Any

import pytest

from app.protocol.model_names import model_url
from app.workflowfile.forms import Graphs
from app.workflowfile.graph import read_workflow
from app.workflowfile.models import Model, models_of

_URL = "https://huggingface.co/o/r/resolve/main/ae.safetensors"


def _models(*nodes: dict[str, Any], **rest: Any) -> list[Model]:
    return models_of(read_workflow(Graphs({"nodes": list(nodes), **rest}, None)))


def _node(widgets: Any, models: Any = None, mode: int = 0, node_id: int = 1) -> dict[str, Any]:
    return {"id": node_id, "type": "L", "mode": mode, "widgets_values": widgets, "properties": {"models": models}}


def test_a_declared_model_has_its_folder_and_its_url() -> None:
    declared = {"name": "ae.safetensors", "url": _URL, "directory": "vae", "hash": "A" * 64, "hash_type": "SHA256"}
    assert _models(_node(["ae.safetensors"], [declared])) == [
        Model("ae.safetensors", "vae", _URL, "a" * 64, True, ("1",))
    ]


def test_a_name_in_a_widget_is_a_model_without_an_address() -> None:
    (model,) = _models(_node({"model": "SDXL\\base.safetensors", "text": "a cat"}))
    assert (model.name, model.file_name, model.folder, model.url) == (
        "SDXL/base.safetensors", "base.safetensors", None, None,
    )  # fmt: skip


def test_a_model_of_two_nodes_stands_once_and_runs_if_one_does() -> None:
    (model,) = _models(_node(["a.pt"], mode=4), _node(["a.pt"], node_id=2))
    assert (model.runs, model.node_ids) == (True, ("1", "2"))


def test_a_declaration_at_the_top_counts_for_a_name_in_a_folder() -> None:
    found = _models(
        _node(["flux/ae.safetensors"]), models=[{"name": "ae.safetensors", "url": _URL, "directory": "vae"}]
    )
    assert [(model.name, model.url) for model in found] == [("flux/ae.safetensors", _URL)]


@pytest.mark.parametrize(
    "name", ["../x.pt", "/etc/x.pt", "C:\\models\\x.pt", "a/../../x.pt", "https://host/x.pt", "x.pt\nrm", "~/x.pt", ""]
)
def test_a_path_that_leaves_its_folder_is_no_model(name: str) -> None:
    assert _models(_node([name], [{"name": name, "directory": name}])) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (_URL + "?download=true", _URL),
        (_URL.replace("/resolve/", "/blob/"), _URL),
        ("https://civitai.com/api/download/models/5?token=secret&type=Model", "https://civitai.com/api/download/models/5?type=Model"),
        ("file:///etc/passwd", None),
        ("https://user:secret@host/x", None),
        ("https://[::1/x", None),
        ("javascript:alert(1)", None),
        (5, None),
    ],
)  # fmt: skip
def test_only_addresses_of_the_web_are_kept_and_no_token(given: Any, kept: str | None) -> None:
    assert model_url(given) == kept
