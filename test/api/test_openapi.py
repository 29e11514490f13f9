"""The specification is that of the routes there are, and its models are those that check requests."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.sync.http.openapi import ASKED
from test.api.client import Api, content

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture(scope="module")
def specification(idle: Api) -> dict[str, Any]:
    """What the service tells."""
    return content(idle.get("/openapi.json"))


def test_every_route_is_in_it_and_no_other(idle: Api, specification: dict[str, Any]) -> None:
    """Pages are not: they are for people."""
    registered = {
        (method, re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", rule.rule))
        for rule in idle.app.url_map.iter_rules()
        if not rule.endpoint.startswith("webui.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    told = {(method.upper(), path) for path, methods in specification["paths"].items() for method in methods}
    assert told == registered


def test_it_is_openapi_31_whose_references_all_lead_somewhere(specification: dict[str, Any]) -> None:
    """Each operation has a name of its own, a summary, and answers; each place in an address is a parameter."""
    assert specification["openapi"] == "3.1.0"
    schemas = specification["components"]["schemas"]
    assert {name.rpartition("/")[2] for name in _refs(specification)} <= set(schemas)
    operations = [(path, each) for path, methods in specification["paths"].items() for each in methods.values()]
    names = [each["operationId"] for _, each in operations]
    assert len(set(names)) == len(names)
    for path, each in operations:
        assert each["summary"] and each["responses"]
        places = {one["name"] for one in each["parameters"] if one["in"] == "path"}
        assert places == set(re.findall(r"{(\w+)}", path))


@pytest.mark.parametrize("route", sorted(ASKED))
def test_the_model_of_a_route_is_the_one_that_checks_its_requests(idle: Api, route: str) -> None:
    """A field that the model does not have is refused by the route, by name."""
    method, _, rule = route.partition(" ")
    path = re.sub(r"<[a-z_:]+>", UNKNOWN, rule)
    if method == "GET":
        answer = idle.get(f"{path}?no_such_field=1")
    else:
        answer = idle.post(path, dict(ASKED[route].example) | {"no_such_field": 1})
    assert answer.status_code == 400
    assert content(answer)["field"] == "no_such_field"


@pytest.mark.parametrize("route", sorted(ASKED))
def test_every_field_that_the_specification_names_is_taken(idle: Api, route: str) -> None:
    """None of them is refused as unknown: the model is no other route's."""
    method, _, rule = route.partition(" ")
    path = re.sub(r"<[a-z_:]+>", UNKNOWN, rule)
    for name in ASKED[route].model.model_fields:
        answer = idle.get(f"{path}?{name}=x") if method == "GET" else idle.post(path, {name: {"x": []}})
        assert f"There is no field {name} here" not in answer.text


def test_an_example_of_a_request_is_one_that_its_model_takes() -> None:
    """They are the curl lines of the page /docs."""
    for asked in ASKED.values():
        if asked.example:
            asked.model.model_validate(asked.example)


def test_the_page_needs_no_network(idle: Api) -> None:
    """Its script asks this service; the policy allows nobody else."""
    page = idle.get("/docs")
    assert page.status_code == 200
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert "//" not in re.sub(r"https?://localhost\S*", "", " ".join(re.findall(r'(?:src|href)="([^"]*)"', page.text)))


def _refs(found: Any) -> list[str]:
    if isinstance(found, dict):
        own = [found["$ref"]] if isinstance(found.get("$ref"), str) else []
        return own + [ref for each in found.values() for ref in _refs(each)]
    return [ref for each in found for ref in _refs(each)] if isinstance(found, list) else []
