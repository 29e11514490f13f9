"""The specification is that of the routes there are, its models are those that check requests, and answers are held
against it."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from app.domain.errors import AppError
from app.sync.http import bodies
from app.sync.http.errors import HEADERS, codes_of
from app.sync.http.openapi import api_routes
from app.sync.http.spec import progress, runs, service, tasks, workflow_files
from app.sync.http.spec.document import SCHEMAS, document
from app.sync.http.spec.routes import OPERATIONS
from test.api.client import Api, content
from test.api.test_docs import TEXT, examples, section
from test.support.contract import contract_of

UNKNOWN = "550e8400-e29b-41d4-a716-446655440000"
ASKED = sorted(key for key, known in OPERATIONS.items() if known.asked not in {None, bodies.NoBody})
ELSEWHERE = frozenset(
    {"error", "forbidden", "invalid_setting", "method_not_allowed", "cancelled", "comfyui_not_running"}
)
"""Codes that no route answers with: general ones, 405, and those of a progress or a tunnel alone."""


@pytest.fixture(scope="module")
def specification(idle: Api) -> dict[str, Any]:
    """What the service tells."""
    return content(idle.get("/openapi.json"))


def test_every_route_has_an_entry_and_no_other(idle: Api) -> None:
    """Pages are not: they are for people."""
    registered = {route.key for route in api_routes(idle.app)}
    missing = sorted(registered - OPERATIONS.keys())
    assert not missing, f"add to app/sync/http/spec/routes.py (CONTRIBUTING.md, 'A route'): {', '.join(missing)}"
    assert not OPERATIONS.keys() - registered


def test_it_is_openapi_31_whose_references_all_lead_somewhere(specification: dict[str, Any]) -> None:
    """Each operation has a name of its own, a summary, and answers; each place in an address is a parameter."""
    assert specification["openapi"] == "3.1.0"
    known = {f"#/components/{kind}/{name}" for kind, names in specification["components"].items() for name in names}
    assert set(_refs(specification)) <= known
    operations = [(path, each) for path, methods in specification["paths"].items() for each in methods.values()]
    names = [each["operationId"] for _, each in operations]
    assert len(set(names)) == len(names)
    for path, each in operations:
        assert each["summary"] and each["responses"]
        places = {one["name"] for one in each["parameters"] if one["in"] == "path"}
        assert places == set(re.findall(r"{(\w+)}", path))


def test_whether_a_login_is_needed_is_told_by_each_operation(idle: Api) -> None:
    """An empty list where none is: a tool that reads a specification takes silence for a mistake."""
    for needs_token in (False, True):
        paths = document(api_routes(idle.app), needs_token=needs_token)["paths"]
        told = {(path, method): each["security"] for path, methods in paths.items() for method, each in methods.items()}
        assert bool(told["/tasks", "get"]) == needs_token
        assert told["/health", "get"] == []


def test_every_route_is_in_the_table_of_routes(idle: Api) -> None:
    """And its link leads to its section."""
    table = TEXT.split("\n## ")[0].replace("\\", "")
    for route in api_routes(idle.app):
        assert f"| [{route.key}](#" in table, route.key


def test_every_schema_is_one_and_is_used(specification: dict[str, Any]) -> None:
    """Each component is referred to, and valid."""
    schemas = specification["components"]["schemas"]
    used = {ref.rpartition("/")[2] for ref in _refs(specification)}
    assert set(schemas) - used == set()
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema | {"$schema": "https://json-schema.org/draft/2020-12/schema"})


def test_every_answer_has_a_schema_its_headers_and_its_codes(specification: dict[str, Any]) -> None:
    """Errors name the codes that the route can answer with."""
    components = specification["components"]
    for path, methods in specification["paths"].items():
        for method, operation in methods.items():
            for status, told in operation["responses"].items():
                answer = components["responses"][told["$ref"].rpartition("/")[2]] if "$ref" in told else told
                assert answer["headers"], (path, method, status)
                assert answer.get("content") or status in {"204", "304"}, (path, method, status)
                for kind, one in answer.get("content", {}).items():
                    assert one["schema"], (path, method, status, kind)
                if int(status) >= 400:
                    codes = answer["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["enum"]
                    assert codes
                    assert answer["content"]["application/json"]["example"]["error"] in codes


def test_every_error_code_is_told_by_a_route(specification: dict[str, Any]) -> None:
    """Those that have a status; others are codes of a progress."""
    told = {
        code
        for answer in specification["components"]["responses"].values()
        for code in answer["content"]["application/json"]["schema"]["allOf"][1]["properties"]["error"]["enum"]
    }
    own = {code for code in codes_of(AppError) if code not in ELSEWHERE}
    of_runs = {"step_timed_out", "task_error", "workflow_error", "config_unreadable"}
    assert {code for code in own - told - of_runs if not code.startswith("standin_")} == set()
    missing = sorted(code for code in told if f"`{code}`" not in TEXT)
    assert missing == [], "docs/api.md does not name them"


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("InstallBody", "ssh_connection"),
        ("ProgressBody", "task_id"),
        ("WorkflowBody", "ssh_connection"),
        ("WorkflowIdBody", "workflow_id"),
        ("ResumeBody", "workflow_id"),
        ("CheckBody", "ssh_connection"),
        ("ScanBody", "ssh_connection"),
        ("AcceptBody", "ssh_connection"),
        ("FleetBody", "ssh_connections"),
        ("SkipBody", "package"),
        ("AnswerBody", "id"),
        ("LoginBody", "token"),
    ],
)
def test_what_a_route_cannot_do_without_is_required(specification: dict[str, Any], model: str, field: str) -> None:
    """And has no default."""
    schema = specification["components"]["schemas"][model]
    assert field in schema["required"]
    assert "default" not in schema["properties"][field]


def test_required_parameters_are_required(specification: dict[str, Any]) -> None:
    """A parameter is never null."""
    paths = specification["paths"]
    needed = {
        (path, one["name"])
        for path, methods in paths.items()
        for operation in methods.values()
        for one in operation["parameters"]
        if one["in"] == "query" and one["required"]
    }
    assert needed == {
        ("/workflow/state", "workflow_id"),
        ("/tasks/{task_id}/wheels/content", "name"),
        ("/tasks/{task_id}/log/search", "q"),
    }
    assert "null" not in json.dumps([each["parameters"] for methods in paths.values() for each in methods.values()])


def test_deprecated_names_are_still_there_and_are_told_with_what_to_use(specification: dict[str, Any]) -> None:
    """For a version at least."""
    schemas = specification["components"]["schemas"]
    marked = {
        name
        for schema in schemas.values()
        for name, told in schema.get("properties", {}).items()
        if told.get("deprecated")
    }
    table = TEXT.split("### Deprecated names\n")[1].split("\n## ")[0]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]
    named = {re.findall(r"`(\w+)`", row)[0] for row in rows}
    assert marked == named == {"ssh_connection", "total_size", "lane"}


@pytest.mark.parametrize("route", ASKED)
def test_the_model_of_a_route_is_the_one_that_checks_its_requests(idle: Api, route: str) -> None:
    """A field that the model does not have is refused by the route, by name."""
    answer = _send(idle, route, {**OPERATIONS[route].example, "no_such_field": "1"})
    assert answer.status_code == 400
    assert content(answer)["field"] == "no_such_field"


@pytest.mark.parametrize("route", ASKED)
def test_every_field_that_the_specification_names_is_taken(idle: Api, route: str) -> None:
    """None of them is refused as unknown: the model is no other route's."""
    asked = OPERATIONS[route].asked
    assert asked is not None
    for name in asked.model_fields:
        answer = _send(
            idle, route, {name: "x" if route.startswith("GET") or OPERATIONS[route].takes_file else {"x": []}}
        )
        assert f"There is no field {name} here" not in answer.text


def _send(idle: Api, route: str, fields: dict[str, Any]) -> Any:
    method, _, rule = route.partition(" ")
    path = re.sub(r"<[a-z_:]+>", UNKNOWN, rule)
    if method == "GET" or OPERATIONS[route].takes_file:
        return idle.send(method, path, query_string=fields)
    return idle.send(method, path, json=fields)


def test_an_example_of_a_request_is_one_that_its_model_and_its_schema_take(specification: dict[str, Any]) -> None:
    """They are the curl lines of the page /docs."""
    for known in OPERATIONS.values():
        if known.example and known.asked is not None:
            known.asked.model_validate(known.example)
            assert _faults(specification, known.asked.__name__, dict(known.example)) == []


@pytest.mark.parametrize("route", sorted(key for key, known in OPERATIONS.items() if key != "GET /openapi.json"))
def test_the_examples_in_the_documentation_are_answers_of_the_route(specification: dict[str, Any], route: str) -> None:
    """Those that are whole: an ellipsis stands for what another section shows."""
    schemas = {name for replies in OPERATIONS[route].replies.values() for reply in replies for name in reply.schemas}
    for example in examples(section(route)):
        if "success" in example and "\\u2026" not in json.dumps(example).replace("AAAAC3NzaC1lZDI1NTE5\\u2026", ""):
            allowed = {*schemas, "Error"}
            assert any(not _faults(specification, name, example) for name in allowed), (example, schemas)


GOOD = {"success": True, "status": "ok", "version": "1"}
SENT = {"Content-Type": "application/json", **HEADERS}


class TestTheContract:
    """Itself: what no specification says is found, whatever it is."""

    def faults(self, idle: Api, **changes: Any) -> list[str]:
        """Of an answer to GET /health."""
        told: dict[str, Any] = {
            "method": "GET",
            "path": "/health",
            "status": 200,
            "headers": SENT,
            "body": GOOD,
        } | changes
        told["body"] = json.dumps(told["body"]).encode()
        return contract_of(idle.app).faults(**told)

    def test_a_good_answer_has_no_fault(self, idle: Api) -> None:
        """Else nothing below means anything."""
        assert self.faults(idle) == []

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"status": 201}, "no answer 201"),
            ({"path": "/nowhere"}, "knows no such operation"),
            ({"body": GOOD | {"more": 1}}, "more"),
            ({"body": {"success": True, "status": "ok"}}, "version"),
            ({"body": GOOD | {"version": 1}}, "version"),
            ({"headers": SENT | {"X-More": "1"}}, "x-more is not in the specification"),
            ({"headers": SENT | {"X-Frame-Options": "ALLOW"}}, "x-frame-options"),
            ({"headers": SENT | {"Content-Type": "text/xml"}}, "text/xml"),
            ({"headers": {"Content-Type": "application/json"}}, "cache-control is missing"),
            (
                {"status": 400, "body": {"success": False, "error": "task_not_found", "message": "", "hint": ""}},
                "error",
            ),
        ],
    )
    def test_what_it_does_not_know_is_named(self, idle: Api, changes: dict[str, Any], words: str) -> None:
        """In a sentence that says where."""
        assert words in " ".join(self.faults(idle, **changes))


def test_the_page_needs_no_network(idle: Api) -> None:
    """Its script asks this service; the policy allows nobody else."""
    page = idle.get("/docs")
    assert page.status_code == 200
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]
    assert "//" not in re.sub(r"https?://localhost\S*", "", " ".join(re.findall(r'(?:src|href)="([^"]*)"', page.text)))


def test_the_methods_of_an_address_are_its_own(idle: Api) -> None:
    """Not those of another one that has a place for it: there is no task `prune`."""
    for path, methods in (
        ("/tasks/prune", "OPTIONS, POST"),
        ("/fleet/install-custom-nodes", "OPTIONS, POST"),
        ("/host-keys/scan", "OPTIONS, POST"),
        (f"/tasks/{UNKNOWN}", "GET, HEAD, OPTIONS"),
        (f"/tasks/{UNKNOWN}/open", "DELETE, GET, HEAD, OPTIONS, POST"),
        ("/session", "DELETE, GET, HEAD, OPTIONS, POST"),
    ):
        assert idle.send("OPTIONS", path).headers["Allow"] == methods
        for method in {"GET", "DELETE", "PUT", "BREW"} - set(methods.split(", ")):
            answer = idle.send(method, path)
            assert (answer.status_code, answer.headers["Allow"]) == (405, methods)


def _faults(specification: dict[str, Any], name: str, value: object) -> list[str]:
    schemas = specification["components"]["schemas"]
    root = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    return [error.message for error in jsonschema_rs.Draft202012Validator(root).iter_errors(value)]


def _refs(found: Any) -> list[str]:
    if isinstance(found, dict):
        own = [found["$ref"]] if isinstance(found.get("$ref"), str) else []
        return own + [ref for each in found.values() for ref in _refs(each)]
    return [ref for each in found for ref in _refs(each)] if isinstance(found, list) else []


def test_every_component_is_made_from_the_table() -> None:
    """No name twice: a later one would take the place of an earlier one."""
    assert len(SCHEMAS) == sum(len(each.SCHEMAS) for each in (progress, runs, service, tasks, workflow_files))
