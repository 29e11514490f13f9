"""HTTP JSON to domain: the requests' models.

A request is checked in two steps: shape and types here (pydantic, strict, unknown fields refused), then meaning by
`app.domain`. `field` in an error is always the request's own dotted name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from app.domain import request as domain
from app.domain.address import SshAddress, parse_address, undecorated
from app.domain.errors import InvalidAddress, InvalidRequest
from app.domain.host_port import split_host_port
from app.domain.workflow import StepName
from app.protocol import task_id
from app.protocol.options import MOST_ENTRIES, OPTIONS, Option, Options
from app.protocol.states import TaskState
from app.remote.own_keys import DEFAULT_NAME
from app.settings import Settings
from app.sync.http.body_types import (
    ID,
    NEEDED,
    Id,
    IdempotencyKey,
    Kinds,
    Manifest,
    RemotePath,
    SshConnection,
    Told,
    Tones,
)

MAX_HELD_SECONDS = 60.0
MAX_CHECK_SECONDS = 120.0
MAX_STEP_SECONDS = 86_400.0
DEFAULT_STEP_SECONDS = 6 * 3600.0
DEFAULT_STEPS = (StepName.TEST_SSH, StepName.INSTALL, StepName.VERIFY)
MAX_PRUNE_DAYS = 36_500.0
MAX_FIELD_CHARS = 200
MAX_TOKEN_CHARS = 1000
MAX_LINE_CHARS = 32


Line = Annotated[str, Field(min_length=1, max_length=MAX_LINE_CHARS)]
"""Which service has counted a revision."""


class JsonBody(Told):
    """JSON that means what it says: no conversion, no unknown field, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _one_unknown(cls, values: Any) -> Any:
        """One unknown field is enough to refuse all: pydantic would make an error for each of a hundred thousand."""
        unknown = [name for name in values if name not in cls.model_fields][1:] if isinstance(values, dict) else ()
        return {name: values[name] for name in values.keys() - unknown} if unknown else values


def option_field(option: Option) -> Any:
    """An option's type as pydantic checks it, and its default."""
    if option.is_list:  # lists are what JSON has; records of options are hashable
        entries = Annotated[tuple[option.type, ...], Strict(False)]  # type: ignore[name-defined]
        return Annotated[entries, Field(max_length=MOST_ENTRIES, description=option.help)], option.default
    kind: Any = Literal[option.choices] if option.choices else option.type
    kind = Annotated[kind, Field(ge=option.minimum, le=option.maximum, description=option.help)]
    return (kind | None if option.default is None else kind, option.default)


if TYPE_CHECKING:
    OptionsBody = JsonBody
else:
    OptionsBody = create_model(
        "OptionsBody",
        __base__=JsonBody,
        __doc__="`options` of an install, made from their definition in app/protocol/options.py.",
        **{option.name: option_field(option) for option in OPTIONS.values()},
    )


class InstallBody(JsonBody):
    """POST /ssh/install-custom-nodes."""

    ssh_connection: Annotated[SshConnection, NEEDED] = None
    ui_home: RemotePath | None = None
    venv_path: RemotePath | None = None
    manifest: Manifest | None = None
    options: OptionsBody | None = None
    idempotency_key: IdempotencyKey | None = None


class ProgressBody(JsonBody):
    """POST /ssh/install-custom-nodes/progress. `ssh_connection` is what the original API sends; it is not looked at.

    `patch`: only what changed after the revision `since`; `line`: as the answer with that revision had it."""

    task_id: Annotated[Id, NEEDED] = None
    ssh_connection: Annotated[Any, Field(deprecated=True)] = None
    since: Annotated[int, Field(ge=0)] | None = None
    patch: bool = False
    line: Line | None = None


class PruneBody(JsonBody):
    """POST /tasks/prune. `older_than_days`: counted from an install's end; default: the setting `history_days`."""

    older_than_days: Annotated[float, Field(ge=0, le=MAX_PRUNE_DAYS)] | None = None


class NotificationsBody(JsonBody):
    """POST /notifications. `on`: whether people are told from now on."""

    on: bool


class WorkflowBody(InstallBody):
    """POST /workflow/start. `steps` in the order in which they are done."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    steps: Annotated[list[Annotated[StepName, Field(strict=False)]], Field(max_length=len(StepName))] = Field(
        default_factory=lambda: list(DEFAULT_STEPS)
    )
    review_plan: Literal["never", "changes", "always"] = "never"
    deadline_seconds: Annotated[float, Field(ge=1, le=MAX_STEP_SECONDS)] = DEFAULT_STEP_SECONDS


class LoginBody(JsonBody):
    """POST /session."""

    token: Annotated[str, Field(min_length=1, max_length=MAX_TOKEN_CHARS)]


class WorkflowIdBody(JsonBody):
    """POST /workflow/stop and POST /workflow/reconnect."""

    workflow_id: Annotated[Id, NEEDED] = None


class ResumeBody(JsonBody):
    """POST /workflow/resume. `answer`: one of the question's, or `stop`; `id`: the question's, where it has one."""

    workflow_id: Annotated[Id, NEEDED] = None
    id: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    answer: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)]


class NoBody(JsonBody):
    """A request that says everything in its address."""


class SkipBody(JsonBody):
    """POST /tasks/ID/skip. `package`: whose build; spelled as in a requirements file, or as progress shows it."""

    package: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)]


class AnswerBody(JsonBody):
    """POST /tasks/ID/answer. `id`: the question's, as progress shows it; `answer`: one of its answers."""

    id: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)]
    answer: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)]


class CheckBody(JsonBody):
    """POST /ssh/test. `timeout_seconds` is the deadline of the whole check. `first_contact`: whether the key of a
    machine that was never met is trusted by itself, or a person is asked (`host_key_unknown`)."""

    ssh_connection: Annotated[SshConnection, NEEDED] = None
    ui_home: RemotePath | None = None
    host_key_sha256: str | None = None
    timeout_seconds: Annotated[float, Field(ge=1, le=MAX_CHECK_SECONDS)] | None = None
    first_contact: Literal["accept", "ask"] = "accept"


class ScanBody(JsonBody):
    """POST /host-keys/scan."""

    ssh_connection: Annotated[SshConnection, NEEDED] = None


class SshKeyBody(JsonBody):
    """POST /ssh-keys."""

    name: Annotated[str, Field(max_length=100)] = DEFAULT_NAME


class AcceptBody(JsonBody):
    """POST /host-keys/accept. `sha256` is the fingerprint that the user has seen and trusts."""

    ssh_connection: Annotated[SshConnection, NEEDED] = None
    sha256: str


class Query(Told):
    """The part of an address behind `?`: text, converted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class TasksQuery(Query):
    """GET /tasks."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    state: TaskState | None = None
    instance: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None


class RunsQuery(Query):
    """GET /runs. `instance`: its name or its instance_id; `state` and `tone`: kinds and tones of a summary, with commas
    between; `q`: a part of its machine, list or id."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    state: Kinds | None = None
    tone: Tones | None = None
    instance: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    q: Annotated[str, Field(min_length=1, max_length=MAX_FIELD_CHARS)] | None = None
    kind: Literal["install", "workflow", "fleet"] | None = None
    in_progress: Literal["true", "false"] | None = None


class TaskQuery(Query):
    """GET /tasks/ID."""

    wait: Annotated[float, Field(ge=0, le=MAX_HELD_SECONDS)] = 0.0


class LockQuery(Query):
    """GET /tasks/ID/lock."""

    format: Literal["lock", "manager-snapshot"] = "lock"


class WorkflowQuery(Query):
    """GET /workflow/state."""

    workflow_id: Annotated[str | None, WithJsonSchema(ID), NEEDED] = None


class WorkflowsQuery(Query):
    """GET /workflows."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


class WheelQuery(Query):
    """GET /tasks/ID/wheels/content. `offset` in bytes. There is no wheel without a name."""

    name: Annotated[str, Field(max_length=MAX_FIELD_CHARS), NEEDED] = ""
    offset: Annotated[int, Field(ge=0, le=2**53)] = 0


class EventsQuery(Query):
    """GET /tasks/ID/events. As the fields of the same names of a poll; `since` counts before `Last-Event-ID`."""

    since: Annotated[int, Field(ge=0, lt=10**18)] | None = None
    patch: bool = False
    line: Line | None = None


class NoQuery(Query):
    """A request without parameters."""


_M = TypeVar("_M", bound=BaseModel)

_MESSAGES: Mapping[str, str] = {
    "extra_forbidden": "There is no field {name} here.",
    "missing": "{name} is missing.",
    "model_type": "{name} is not an object.",
    "dict_type": "{name} is not an object.",
    "too_long": "{name} has {actual_length} entries; at most {max_length} are possible.",
}
"""What pydantic says, by its error type, in words for somebody who writes JSON."""


def read(model: type[_M], values: Mapping[str, Any]) -> _M:
    """`values` as `model`. Raises InvalidRequest naming the first field that is wrong."""
    try:
        return model.model_validate(values)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
    name = _dotted(first["loc"])
    said = first["msg"][:1].lower() + first["msg"][1:]
    message = _MESSAGES.get(first["type"], "{name}: {said}.").format(name=name, said=said, **first.get("ctx", {}))
    raise InvalidRequest(message, hint="docs/api.md lists every field.", field=name)


def _dotted(location: Sequence[int | str]) -> str:
    """`("manifest", "nodes", 3)` as `manifest.nodes[3]`."""
    services = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in location]
    return "".join(services).removeprefix(".")[:MAX_FIELD_CHARS]


def install_request(values: Mapping[str, Any], settings: Settings) -> domain.InstallRequest:
    """The install that `values` ask for, every part of it checked. Raises InvalidRequest."""
    body = read(InstallBody, values)
    options = Options() if body.options is None else checked_options(Options(**body.options.model_dump()))
    fingerprint = fingerprint_of(options.host_key_sha256, "options.host_key_sha256")
    if options.exact and not {"lock", "manager_snapshot"} & set(body.manifest or {}):
        raise InvalidRequest("options.exact needs a manifest with a lock.", field="options.exact")
    manifest = manifest_of(body.manifest, settings)
    if options.exact:
        domain.check_nothing_left_out(manifest)
    key = body.idempotency_key
    address = address_of(body.ssh_connection)
    return domain.InstallRequest(
        ssh_connection=undecorated(str(body.ssh_connection)),
        address=address,
        ui_home=_path(body.ui_home, "ui_home"),
        venv_path=_path(body.venv_path, "venv_path"),
        manifest=manifest,
        options=replace(options, host_key_sha256=fingerprint),
        idempotency_key=None if key is None else domain.check_idempotency_key(key),
    )


def checked_options(options: Options) -> Options:
    """What the model cannot say of an option's text. Raises InvalidRequest."""
    for name, option in OPTIONS.items():
        try:
            option.check(getattr(options, name))
        except ValueError as exc:
            raise InvalidRequest(str(exc), field=f"options.{name}") from None
    return options


def manifest_of(raw: Mapping[str, Any] | None, settings: Settings) -> Mapping[str, Any] | None:
    """A request's manifest, every entry of it checked. Raises InvalidManifest."""
    return domain.check_manifest(raw, settings.allowed_git_schemes, settings.auto_installer_path)


def address_of(text: object) -> SshAddress:
    """The address in a request's `ssh_connection`. Raises InvalidAddress."""
    if text is None:
        raise InvalidAddress("ssh_connection is missing.", field="ssh_connection")
    return parse_address(text)


def ui_home_of(body: CheckBody) -> str | None:
    """The folder that a check looks at; None: wherever ComfyUI is. Raises InvalidRequest."""
    return _path(body.ui_home, "ui_home")


def fingerprint_of(text: str | None, field_name: str) -> str | None:
    """A host key's fingerprint as ssh-keygen prints it. Raises InvalidRequest."""
    return None if text is None else domain.check_fingerprint(text, field_name)


def task_id_of(text: object) -> str:
    """`text` as a task_id. Raises InvalidRequest when it is missing or no UUID."""
    return uuid_of(text, "task_id")


def uuid_of(text: object, name: str) -> str:
    """`text` as the id in the field `name`. Raises InvalidRequest when it is missing or no UUID."""
    if text is None:
        raise InvalidRequest(f"{name} is missing.", field=name)
    known = task_id.canonical(text)
    if known is None:
        hint = f"Use the {name} from the answer of the start; it is a UUID."
        raise InvalidRequest(f"{name} is not a UUID.", hint=hint, field=name)
    return known


def host_and_port_of(text: str) -> tuple[str, int]:
    """`host:port` or `[IPv6]:port`, the port always given. Raises InvalidRequest."""
    try:
        return split_host_port(text)
    except ValueError as exc:
        hint = "GET /host-keys lists the known ones."
        raise InvalidRequest("The address does not end in HOST:PORT.", hint=hint, field="address") from exc


def _path(text: str | None, field_name: str) -> str | None:
    return None if text is None else domain.check_remote_path(text, field_name)
