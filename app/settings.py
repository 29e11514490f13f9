"""Settings: defaults, then the TOML file, then `NODEFERRY_<NAME>` variables. The only reader of os.environ.

Every value is frozen; times are seconds, sizes are bytes.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import platformdirs
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from app.called_as import set_command
from app.domain.access import origin_of
from app.domain.database_scheme import with_driver
from app.domain.errors import InvalidRequest
from app.domain.forwarded import networks_of, prefix_of
from app.machine_size import installs_at_once
from app.protocol import redaction
from app.protocol.known_bad import read_known_bad
from app.protocol.policies import KINDS, Policies
from app.setting_kinds import (
    LEVELS,
    Addresses,
    Count,
    Folder,
    Level,
    LogFormat,
    Policy,
    Port,
    Role,
    Seconds,
    Words,
    expected,
)
from app.small_files import CONFIG_BYTES, KNOWN_BAD_BYTES, UnusableFile, read_small

_log = logging.getLogger(__name__)

ENV_PREFIX = "NODEFERRY_"
DEFAULT_PORT = 5000
SECRETS = frozenset({"token", "notify_urls"})
_NO_SETTINGS = frozenset({"NODEFERRY_NODE_REGISTRY"})
"""Variables of our prefix that are the runner's."""
_ALIKE = 0.74
"""From how much likeness on an unknown name is a misspelt one (difflib's ratio)."""


class InvalidSetting(InvalidRequest):
    """A setting has a value that cannot be used."""

    code = "invalid_setting"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of one SSH connection, in seconds."""

    connect: float = 30.0
    """The whole of one connecting: name look-up, TCP, banner, key exchange and login, retries included."""
    command: float = 60.0
    """One short command on the instance (upload, start, status)."""
    silence: float = 15.0
    """A follower that brings neither an event nor a heartbeat for this long is a dead line."""
    reconnect: float = 3600.0
    """How long a cut line is tried again before the install is given up."""


class Settings(BaseSettings):
    """What a service runs with. `settings_from` builds it; each field is a setting, its docstring what it means."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, coerce_numbers_to_str=True
    )

    data_dir: Folder = Field(default_factory=lambda: Path(platformdirs.user_data_dir("nodeferry")))
    """The folder of the database, the logs, the tokens and the host keys."""
    database_url: Annotated[str, AfterValidator(with_driver)] = ""
    """Empty: SQLite, `nodeferry.db` in data_dir. `postgresql://USER@HOST/NAME`: several processes are one service."""
    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0`: every one of this machine. Any but loopback needs a token."""
    port: Port = DEFAULT_PORT
    """0 takes a free one; where the default is in use, the next free one is taken."""
    token: str = ""
    """A token of your own choice, of scope all; requests need one then. Off loopback at least 24 characters."""
    allowed_hosts: Words = ()
    """Host names besides the loopback ones that requests may name in `Host`."""
    trusted_proxies: Words = ()
    """Addresses and networks of the reverse proxies in front of this service: what they say of a request (who asked, by
    which name, over https) is believed; what anybody else says of that never."""
    path_prefix: str = ""
    """The path below which a reverse proxy shows this service (`/nodeferry`), whether it strips it or not."""
    max_running: Count = Field(default_factory=installs_at_once)
    """How many installs may work at once; others wait. By default what fits this machine: 250 for each processor, one
    for each 1.5 MB of half of its memory, 32 at least and 1,000 at most."""
    connect_timeout_seconds: Seconds = 30.0
    """How long one connecting to an instance may take, from the name look-up to the login."""
    wait_seconds: Seconds = 300.0
    """How long an instance that is not up yet is waited for; the default of options.wait_seconds."""
    auto_installer_repo: str = "https://github.com/unearth4334/ComfyUI-Auto_installer"
    """The repository with the list that is installed where none is given."""
    auto_installer_path: str = "scripts/custom_nodes.csv"
    """The list's file in it."""
    allowed_git_schemes: Words = ("https", "ssh")
    """Kinds of addresses that packs are cloned from."""
    ssh_key_files: Words = ()
    """Private keys to try besides those of `~/.ssh/config`, the agent and the usual `~/.ssh/id_*`."""
    log_level: Level = "INFO"
    """From which level on the service's own log is written: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    log_format: LogFormat = "text"
    """How the service's own log is written: `text` or `json`, a line an event."""
    reconnect_seconds: Seconds = 3600.0
    """How long a cut line is tried again before the install is given up."""
    max_waiting: Count = 1000
    """How many installs may wait; more are refused (429)."""
    retry_seconds: Seconds = 30.0
    """The pause before the first automatic retry (options.auto_retry); it doubles with each."""
    memory_hours: Seconds = 2.0
    """How long an ended install is answered from memory; after that from its record."""
    history_days: Seconds = 90.0
    """How long records and progress files of ended installs are kept; 0: for ever."""
    log_days: Seconds = 30.0
    """How long the logs of ended installs are kept here; 0: as long as their records."""
    question_seconds: Seconds = 3600.0
    """How long a run waits for a person's answer before it does what changes least (options.ask)."""
    remote_days: Seconds = 14.0
    """How long an ended run's journal, logs and notes for a rollback are kept on its instance, where the next run
    removes them; 0: for ever."""
    stall_seconds: Seconds = 6 * 3600.0
    """How long a run may go without anything in it moving (no state, no byte, no line of a build) before it is ended;
    0: for ever."""
    max_records: Count = 10_000
    """How many installs are remembered; of more, those that ended first are forgotten. 0: any number."""
    max_log_bytes: Count = 2 * 1024**3
    """How large the logs of all tasks may be here together; of more, those of tasks that ended first are removed, and
    then those of running ones are cut. 0: any size."""
    max_workflows: Count = 200
    """How many workflows may be unfinished; more are refused (429)."""
    allowed_origins: Words = ()
    """Origins (`https://gpu.example`, exactly, with their port) whose pages may change something, besides the
    service's own."""
    node_map_url: str = "https://raw.githubusercontent.com/ltdrdata/ComfyUI-Manager/main/"
    """The folder with ComfyUI-Manager's files extension-node-map.json and custom-node-list.json, which say which node
    pack has a workflow's classes; empty: workflows are read by their own hints alone."""
    stats_url: str = "https://raw.githubusercontent.com/ltdrdata/ComfyUI-Manager/main/github-stats.json"
    """The stars and last changes of node packs, for whoever has to choose between them; empty: none."""
    registry_url: str = "https://api.comfy.org"
    """ComfyUI's registry of node packs, for packs that are named by their ids (`comfyui-impact-pack@8.1.0`) and for
    classes that a workflow says nothing of; empty: it is not asked."""
    session_hours: Seconds = 168.0
    """How long a browser stays logged in; 0: a year."""
    request_seconds: Seconds = 20.0
    """How long the head of a request may take to arrive. Its body may take three times as long, and so may a client to
    take a part of the answer."""
    max_connections: Count = 0
    """How many connections may be open at once; 0: as many as half of the files that the system lets it open."""
    max_connections_per_address: Count = 100
    """How many of them may come from one address; this machine and trusted proxies are not counted."""
    max_repository_bytes: Count = 20 * 1024**3
    """How large a pack's repository may become on an instance, with its files, submodules and what Git LFS brings; 0:
    any size."""

    policy_scripts: Policy = "allow"
    """Whether packs' install.py may run: `allow`, `ask` or `refuse`. A request may be stricter (options.policies)."""
    policy_prestartup: Policy = "allow"
    """The same for prestartup_script.py, which ComfyUI runs at each start: a pack is left out where it is refused."""
    policy_direct_urls: Policy = "allow"
    """The same for requirements that are addresses."""
    policy_indexes: Policy = "allow"
    """The same for indexes and other places that a pack names for its packages."""
    policy_builds: Policy = "allow"
    """The same for packages that are built on the instance, which runs their code."""
    known_bad_file: str = ""
    """A JSON file with packs and packages that are refused besides those that Nodeferry knows to be malicious."""
    status_links: bool = False
    """Whether links may be made that show one run, read-only, to whoever has them."""
    notify_urls: Addresses = ()
    """Addresses of people to tell when a run ends or needs somebody, as the library Apprise writes them
    (`discord://…`, `tgram://…`, `mailto://…`); they are secret."""
    command: str = ""
    """What stands in front of a command in hints, such as `docker exec NAME nodeferry`; empty: how it was called."""
    role: Role = "all"
    """What this process does where several share a PostgreSQL: `web` only answers, `worker` only runs installs, `all`
    does both. On SQLite there is one process, which does all."""

    @property
    def policies(self) -> Policies:
        """What packs may run or bring."""
        return Policies(**{kind: getattr(self, f"policy_{kind}") for kind in KINDS})

    @property
    def timeouts(self) -> Timeouts:
        """The SSH deadlines that follow from the settings."""
        return Timeouts(connect=self.connect_timeout_seconds, reconnect=self.reconnect_seconds)

    @property
    def session_seconds(self) -> float:
        """How long a browser stays logged in."""
        return (self.session_hours or 365 * 24) * 3600

    @property
    def is_shared(self) -> bool:
        """Whether any number of processes are one service, on one PostgreSQL."""
        return self.database_url.startswith("postgresql")

    @property
    def runs_installs(self) -> bool:
        """Whether this process runs installs, and what follows them."""
        return self.role != "web"

    @property
    def resolved_database_url(self) -> str:
        """`database_url`, or the SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'nodeferry.db'}"

    def public(self) -> dict[str, Any]:
        """Every setting as plain values, secrets replaced; for `config show`."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        values = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        values["database_url"] = redaction.masked(values["database_url"])
        return values | {name: redaction.MASK for name in SECRETS if values[name]}

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_env: Any, **_others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given: `Loaded.read` asks the other sources, and remembers which one said what."""
        del settings_cls
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where each one that is no default comes from: the file, a variable, the command line."""

    settings: Settings
    file: Path
    origins: Mapping[str, str]
    unknown: tuple[str, ...] = ()
    """Variables of our prefix that are no setting's."""

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        file: Path | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Loaded:
        """From the TOML file (default: nodeferry.toml in the user's configuration folder), the environment and
        `overrides` (None values are left out), later ones winning. Secrets among them are masked from now on. Raises
        InvalidSetting naming the culprit."""
        environ = os.environ if environ is None else environ
        path = file or config_file()
        asked = {name: value for name, value in (overrides or {}).items() if value is not None}
        sources = {str(path): _read_toml(path), "": _Environment(environ)(), "the command line": asked}
        unknown = _unknown_variables(environ)
        raw: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for origin, values in sources.items():
            raw |= values
            origins |= {name: origin or ENV_PREFIX + name.upper() for name in values}
        settings = _settings(raw, origins)
        redaction.register_variables(environ)
        redaction.register(settings.token)
        redaction.register_text(settings.database_url)
        set_command(settings.command)
        return cls(settings, path, origins, unknown)


class _Environment(EnvSettingsSource):
    """The variables `NODEFERRY_<NAME>` of an environment that is given."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(Settings, env_prefix=ENV_PREFIX, case_sensitive=False)
        self.env_vars = {name.lower(): text for name, text in environ.items() if name.startswith(ENV_PREFIX)}


def config_file() -> Path:
    """Where the settings of this user lie. Raises InvalidSetting where there is no home folder."""
    if os.path.expanduser("~") == "~":
        raise InvalidSetting(f"HOME is not set, and user {os.getuid()} has no account.", hint="Set it.", field="HOME")
    return Path(platformdirs.user_config_dir("nodeferry")) / "nodeferry.toml"


def settings_from(
    environ: Mapping[str, str] | None = None, *, file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of `Loaded.read`; the log names the variables that are none."""
    loaded = Loaded.read(environ, file=file, overrides=overrides)
    for name in loaded.unknown:
        _log.warning("the variable %s is no setting, and does nothing", name)
    return loaded.settings


def _settings(raw: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    known = list(Settings.model_fields)
    for name in sorted(set(raw) - set(known)):
        meant = difflib.get_close_matches(name, known, 1, _ALIKE)
        hint = f"Did you mean {meant[0]}?" if meant else f"Known: {', '.join(known)}."
        raise InvalidSetting(f"Unknown setting {name!r} in {origins[name]}.", field=name, hint=hint)
    try:
        settings = Settings(**raw)
        networks_of(settings.trusted_proxies)
        _check_origins(settings.allowed_origins)
        prefix = prefix_of(settings.path_prefix)
    except ValidationError as exc:
        raise _fault(exc, origins) from None
    except InvalidRequest as exc:
        raise InvalidSetting(exc.message, hint=exc.hint, field=exc.field) from None
    _check_role(settings)
    bad = settings.known_bad_file and str(Path(settings.known_bad_file).expanduser().absolute())
    if bad:
        known_bad_of(Path(bad))
    return settings.model_copy(update={"path_prefix": prefix, "known_bad_file": bad})


def _check_role(settings: Settings) -> None:
    if settings.role != "all" and not settings.is_shared:
        raise InvalidSetting(
            f"role is {settings.role!r}, but the database is a file, which one process has to itself.",
            hint="Set database_url to a PostgreSQL (postgresql+psycopg://HOST/NAME), or leave role at all.",
            field="role",
        )


def _fault(exc: ValidationError, origins: Mapping[str, str]) -> InvalidSetting:
    """The first thing that is wrong, with its name, its value, and what it may be."""
    first = exc.errors(include_url=False)[0]
    name, value = str(first["loc"][0]), first["input"]
    meant = difflib.get_close_matches(str(value).upper(), LEVELS, 1) if name == "log_level" else []
    text = redaction.MASK if name in SECRETS else repr(value)[:80]
    return InvalidSetting(
        f"{name} is {text}; expected {expected(first)}.",
        field=name,
        hint=f"Did you mean {meant[0]}?" if meant else f"It comes from {origins.get(name, 'its default')}.",
    )


def _unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Those of our prefix that are no setting's. Raises InvalidSetting for one that is misspelt: what it was to change,
    a policy or a token, would silently stay as it is."""
    known = [ENV_PREFIX + name.upper() for name in Settings.model_fields]
    unknown = sorted({name for name in environ if name.startswith(ENV_PREFIX)} - set(known) - _NO_SETTINGS)
    for name in unknown:
        meant = difflib.get_close_matches(
            name.removeprefix(ENV_PREFIX), [k.removeprefix(ENV_PREFIX) for k in known], 1, _ALIKE
        )
        if meant:
            raise InvalidSetting(
                f"The variable {name} is no setting.", field=name, hint=f"Did you mean {ENV_PREFIX}{meant[0]}?"
            )
    return tuple(unknown)


@cache
def known_bad_of(path: Path) -> list[dict[str, Any]]:
    """The entries of the service's own list, as the runner is sent them; read once. Raises InvalidSetting."""
    try:
        entries: list[dict[str, Any]] = json.loads(read_small(path, KNOWN_BAD_BYTES))
        read_known_bad(entries)
    except (OSError, UnusableFile, ValueError, RecursionError) as exc:
        raise InvalidSetting(f"{path} is no list of what is known to be bad: {exc}.", field="known_bad_file") from exc
    return entries


def _check_origins(origins: tuple[str, ...]) -> None:
    for text in origins:
        if not origin_of(text):
            raise InvalidRequest(
                f"allowed_origins has {text[:80]!r}, which is no origin.",
                hint="Write it as the browser's address begins, without a path: https://gpu.example:8443",
                field="allowed_origins",
            )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_small(path, CONFIG_BYTES).decode("utf-8"))
    except FileNotFoundError:
        return {}
    except UnusableFile as exc:
        raise InvalidSetting(f"The settings cannot be read: {exc}.", field=str(path)) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidSetting(f"{path} is not valid TOML: {exc}.", field=str(path)) from exc


def caller_environment(without: tuple[str, ...] = ()) -> dict[str, str]:
    """A copy of this process's environment for a child, without Nodeferry's own variables and those in `without`."""
    return {name: text for name, text in os.environ.items() if not name.startswith(ENV_PREFIX) and name not in without}
