"""The one definition of the options: it is strict, complete, and somebody reads each of them."""

from __future__ import annotations

import ast
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import InvalidRequest
from app.domain.workflow import StepName
from app.protocol.options import OPTIONS, Options
from app.settings import Settings
from app.sync.http import bodies
from test.house.sources import Source
from test.options.readers import readers_of, reads
from test.options.samples import SAMPLES

NO_WHEELHOUSE = (
    "",
    "wheels",
    "../wheels",
    "-r/etc/passwd",
    "file:///etc/",
    "ftp://host/wheels/",
    "https://",
    "https://somebody:secret@host/wheels/",
    "https://somebody@host/wheels/",
    "https://host/wheels/?token=secret",
    "https://host/wheels/#part",
    "https://host/a,https://other/",
    "https://host/a b/",
    "https://[::1/",
    "/wheels\n--index-url http://other/",
    "/" + "a" * 1000,
)


@pytest.mark.parametrize("name", OPTIONS)
def test_those_who_read_an_option_are_those_who_are_named(name: str) -> None:
    """An option that is defined and that nobody reads does nothing; one that is read by somebody who is not named does
    not reach them."""
    assert readers_of(name) == OPTIONS[name].readers


def test_an_option_that_nobody_reads_is_found() -> None:
    """Neither a keyword, nor another object's attribute, is a reader."""
    text = "replace(options, unread=True)\nself.unread\nother.options_of.unread\nx = context.options.read_here"
    modules = [Source("x.py", text, ast.parse(text))]
    assert not reads("unread", modules)
    assert reads("read_here", modules)
    assert readers_of("no_such_option") == set()


def test_what_is_defined_is_whole() -> None:
    """Every option has its words, and a name that no other has."""
    assert len({option.flag for option in OPTIONS.values()}) == len(OPTIONS)
    for option in OPTIONS.values():
        assert option.help and option.flag_help and option.flag.startswith("--")
        assert not option.help.endswith(".") and not option.flag_help.endswith(".")
        assert option.check(SAMPLES[option.name]) != option.default
        assert not option.step or StepName(option.step)
        assert option.type not in {int, float} or (option.minimum is not None and option.maximum is not None)


def test_options_are_values() -> None:
    with pytest.raises(FrozenInstanceError):
        Options().exact = True  # type: ignore[misc]


# -- the reader of what is stored --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_a_record_from_before_an_option_was_there_has_its_default(name: str) -> None:
    older = {other: value for other, value in Options(**SAMPLES).to_json().items() if other != name}
    assert Options.read(older) == Options(**{**SAMPLES, name: OPTIONS[name].default})


def test_names_that_are_not_known_are_ignored() -> None:
    """Another version's."""
    assert Options.read({"from_the_future": 1, "exact": True}) == Options(exact=True)
    assert Options.read(None) == Options.read({}) == Options()


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("wrong", [[], {}, object(), "neither"])
def test_a_value_that_an_option_cannot_have_is_refused(name: str, wrong: Any) -> None:
    if name == "host_key_sha256" and wrong == "neither":
        return  # what a fingerprint looks like, the service checks when it is asked for
    if OPTIONS[name].is_list and wrong == []:
        return  # as if it was not given
    with pytest.raises(ValueError, match=f"options.{name} is"):
        Options.read({name: wrong})


@pytest.mark.parametrize(("name", "wrong"), [("auto_retry", True), ("exact", 1), ("verify", None), ("existing", None)])
def test_nothing_is_converted(name: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"options.{name} is"):
        Options.read({name: wrong})


# -- the request's model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_the_model_has_every_option_with_its_default_and_help(name: str) -> None:
    """In the OpenAPI too."""
    field = bodies.OptionsBody.model_fields[name]
    assert field.default == OPTIONS[name].default
    schema = bodies.OptionsBody.model_json_schema()["properties"][name]
    assert OPTIONS[name].help in str(schema)
    assert all(choice in str(schema) for choice in OPTIONS[name].choices)


def test_the_model_has_no_other() -> None:
    assert list(bodies.OptionsBody.model_fields) == list(OPTIONS)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *((name, 1) for name, option in OPTIONS.items() if option.type is bool),
        *((name, "neither") for name, option in OPTIONS.items() if option.choices),
        *((name, option.maximum + 1) for name, option in OPTIONS.items() if option.maximum is not None),
        *((name, option.minimum - 1) for name, option in OPTIONS.items() if option.minimum is not None),
        *((name, "1") for name, option in OPTIONS.items() if option.type in {int, float}),
        ("host_key_sha256", "SHA256:short"),
        *(("wheelhouse", wrong) for wrong in NO_WHEELHOUSE),
        ("no_such_option", True),
    ],
)
def test_a_request_that_asks_for_what_cannot_be_is_refused_by_name(name: str, wrong: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bodies.install_request(
            {"ssh_connection": "root@host", "options": {name: wrong}}, Settings(data_dir=Path("/nowhere"))
        )
    assert refused.value.field == f"options.{name}"
    assert "secret" not in refused.value.message + refused.value.hint
