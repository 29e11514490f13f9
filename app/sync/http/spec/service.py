"""The schemas of what is not a task's: instances, keys, sessions, health, errors."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.access import Scope
from app.domain.hostkeys import HostKey
from app.protocol.probe_answer import ComfyUIHome, ProbeAnswer
from app.remote.own_keys import OwnKey
from app.sync.http.spec.schema import (
    ANY_OBJECT,
    COUNT,
    FLAG,
    NO,
    TEXT,
    TIME,
    YES,
    Schema,
    array,
    nullable,
    of_dataclass,
    record,
    ref,
    words,
)
from app.sync.http.spec.workflow_files import QUESTION

_PASTE = array(record({"provider": TEXT, "place": TEXT, "url": TEXT}))

_ERROR: Mapping[str, Schema] = {
    "success": NO,
    "error": {**TEXT, "description": "A code. docs/messages.md lists them."},
    "message": {**TEXT, "description": "What happened, to what."},
    "hint": {**TEXT, "description": "What to do; may be empty."},
}

SCHEMAS: Mapping[str, Schema] = {
    "Error": record(
        _ERROR,
        {
            "field": {**TEXT, "description": "The part of the request that is at fault."},
            "questions": array(QUESTION),
            "wrong_entries": array(
                record({"field": TEXT, "message": TEXT}, about="One entry of a list that is wrong.")
            ),
        },
        about="The one shape that every error has.",
    ),
    "InstanceFailed": record(
        _ERROR,
        {
            "host_key": ref("HostKey"),
            "known_host_keys": array(ref("HostKey")),
            "is_jump_host": FLAG,
            "ui_homes": array(record(of_dataclass(ComfyUIHome))),
            "unusable_keys": array(TEXT),
        },
        about="An instance that failed the test, with what a person needs to decide.",
    ),
    "InstanceFound": record(
        {"success": YES, "endpoint": TEXT, "host_key": ref("HostKey"), **of_dataclass(ProbeAnswer)},
    ),
    "HostKey": record(of_dataclass(HostKey, added_at=nullable(TIME))),
    "HostKeys": record({"success": YES, "host_keys": array(ref("HostKey"))}),
    "HostKeyShown": record({"success": YES, "host_key": ref("HostKey")}, {"is_jump_host": FLAG}),
    "HostKeysForgotten": record({"success": YES, "host": TEXT, "port": COUNT, "forgotten": COUNT}),
    "Session": record(
        {
            "success": YES,
            "login_needed": FLAG,
            "name": nullable(TEXT),
            "scope": words(Scope),
            "expires_at": nullable(TIME),
        }
    ),
    "LoggedOut": record({"success": YES}),
    "Notifications": record(
        {
            "success": YES,
            "state": words("off", "unusable", "paused", "on"),
            "receivers": array(record({"service": TEXT, "address": TEXT})),
            "problem": nullable(TEXT),
            "last": nullable(record({"at": TIME, "ok": FLAG})),
        }
    ),
    "SshKey": record(of_dataclass(OwnKey, source=words("file", "agent", "public"))),
    "SshKeys": record({"success": YES, "ssh_keys": array(ref("SshKey")), "where_to_paste": _PASTE}),
    "SshKeyMade": record({"success": YES, "ssh_key": ref("SshKey"), "where_to_paste": _PASTE}),
    "Health": record({"success": YES, "status": {"const": "ok"}, "version": TEXT}),
    "Readiness": record({"success": YES, "status": {"const": "ready"}, "version": TEXT}),
    "Specification": record(
        {"openapi": TEXT, "info": ANY_OBJECT, "paths": ANY_OBJECT, "components": ANY_OBJECT}, closed=False
    ),
}
