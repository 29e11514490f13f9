"""Settings: defaults, then the TOML file, then `NODEFERRY_<NAME>` variables. The only reader of os.environ.

Every value is frozen; times are seconds, sizes are bytes.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from app.domain.access import origin_of
from app.domain.errors import InvalidRequest
from app.domain.forwarded import networks_of, prefix_of
from app.protocol import redaction
from app.protocol.known_bad import read_known_bad
from app.protocol.policies import ALLOW, KINDS, WORDS, Policies
from app.small_files import CONFIG_BYTES, KNOWN_BAD_BYTES, UnusableFile, read_small

ENV_PREFIX = "NODEFERRY_"
DEFAULT_PORT = 5000
SECRETS = frozenset({"token", "notify_urls"})
_DURATIONS = frozenset(
    {
        "connect_timeout_seconds",
        "wait_seconds",
        "reconnect_seconds",
        "retry_seconds",
        "memory_hours",
        "history_days",
        "log_days",
        "remote_days",
        "question_seconds",
        "stall_seconds",
        "max_records",
        "max_log_bytes",
        "max_repository_bytes",
        "max_workflows",
        "session_hours",
        "request_seconds",
    }
)


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


@dataclass(frozen=True, slots=True)
class Settings:
    """What a service runs with. `settings_from` builds it; each field is a setting."""

    data_dir: Path = field(default_factory=lambda: Path(platformdirs.user_data_dir("nodeferry")))
    database_url: str = ""
    """SQLAlchemy URL; empty: `nodeferry.db` in data_dir."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes a free one."""
    token: str = ""
    """A token of your own choice, of scope all; requests need one then. Off loopback at least 24 characters."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names besides the loopback ones that requests may name in `Host`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks of the reverse proxies in front of this service: what they say of a request (who asked, by
    which name, over https) is believed; what anybody else says of that never."""
    path_prefix: str = ""
    """The path below which a reverse proxy shows this service (`/nodeferry`), whether it strips it or not."""
    max_running: int = 32
    connect_timeout_seconds: float = 30.0
    wait_seconds: float = 300.0
    """Default of options.wait_seconds."""
    auto_installer_repo: str = "https://github.com/unearth4334/ComfyUI-Auto_installer"
    auto_installer_path: str = "scripts/custom_nodes.csv"
    allowed_git_schemes: tuple[str, ...] = ("https", "ssh")
    ssh_key_files: tuple[str, ...] = ()
    """Private keys to try besides those of `~/.ssh/config`, the agent and the usual `~/.ssh/id_*`."""
    log_level: str = "INFO"
    log_format: str = "text"
    """How the service's own log is written: `text` or `json`, a line an event."""
    reconnect_seconds: float = 3600.0
    """How long a cut line is tried again before the install is given up."""
    max_waiting: int = 1000
    """How many installs may wait; more are refused (429)."""
    retry_seconds: float = 30.0
    """The pause before the first automatic retry (options.auto_retry); it doubles with each."""
    memory_hours: float = 2.0
    """How long an ended install is answered from memory; after that from its record."""
    history_days: float = 90.0
    """How long records and progress files of ended installs are kept; 0: for ever."""
    log_days: float = 30.0
    """How long the logs of ended installs are kept here; 0: as long as their records."""
    question_seconds: float = 3600.0
    """How long a run waits for a person's answer before it does what changes least (options.ask)."""
    remote_days: float = 14.0
    """How long an ended run's journal, logs and notes for a rollback are kept on its instance, where the next run
    removes them; 0: for ever."""
    stall_seconds: float = 6 * 3600.0
    """How long a run may go without anything in it moving (no state, no byte, no line of a build) before it is ended;
    0: for ever."""
    max_records: int = 10_000
    """How many installs are remembered; of more, those that ended first are forgotten. 0: any number."""
    max_log_bytes: int = 2 * 1024**3
    """How large the logs of all tasks may be here together; of more, those of tasks that ended first are removed, and
    then those of running ones are cut. 0: any size."""
    max_workflows: int = 200
    """How many workflows may be unfinished; more are refused (429)."""
    allowed_origins: tuple[str, ...] = ()
    """Origins (`https://gpu.example`, exactly, with their port) whose pages may change something, besides the
    service's own."""
    node_map_url: str = "https://raw.githubusercontent.com/ltdrdata/ComfyUI-Manager/main/"
    """The folder with ComfyUI-Manager's files extension-node-map.json and custom-node-list.json, which say which node
    pack has a workflow's classes; empty: workflows are read by their own hints alone."""
    stats_url: str = "https://raw.githubusercontent.com/ltdrdata/ComfyUI-Manager/main/github-stats.json"
    """The stars and last changes of node packs, for whoever has to choose between them; empty: none."""
    session_hours: float = 168.0
    """How long a browser stays logged in; 0: a year."""
    request_seconds: float = 20.0
    """How long the head of a request may take to arrive. Its body may take three times as long, and so may a client to
    take a part of the answer."""
    max_connections: int = 0
    """How many connections may be open at once; 0: as many as half of the files that the system lets it open."""
    max_connections_per_address: int = 100
    """How many of them may come from one address; this machine and trusted proxies are not counted."""
    max_repository_bytes: int = 20 * 1024**3
    """How large a pack's repository may become on an instance, with its files, submodules and what Git LFS brings; 0:
    any size."""

    policy_scripts: str = ALLOW
    """Whether packs' install.py may run: `allow`, `ask` or `refuse`. A request may be stricter (options.policies)."""
    policy_prestartup: str = ALLOW
    """The same for prestartup_script.py, which ComfyUI runs at each start: a pack is left out where it is refused."""
    policy_direct_urls: str = ALLOW
    """The same for requirements that are addresses."""
    policy_indexes: str = ALLOW
    """The same for indexes and other places that a pack names for its packages."""
    policy_builds: str = ALLOW
    """The same for packages that are built on the instance, which runs their code."""
    known_bad_file: str = ""
    """A JSON file with packs and packages that are refused besides those that Nodeferry knows to be malicious."""
    status_links: bool = False
    """Whether links may be made that show one run, read-only, to whoever has them."""
    notify_urls: tuple[str, ...] = ()
    """Addresses of people to tell when a run ends or needs somebody, as the library Apprise writes them
    (`discord://…`, `tgram://…`, `mailto://…`); they are secret."""

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
    def resolved_database_url(self) -> str:
        """`database_url`, or the SQLite file in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'nodeferry.db'}"

    def public(self) -> dict[str, Any]:
        """Every setting as plain values, secrets replaced; for `config show`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
        values["database_url"] = redaction.masked(values["database_url"])
        return values | {name: redaction.MASK for name in SECRETS if values[name]}


def settings_from(
    environ: Mapping[str, str] | None = None, *, file: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from the TOML file (default: nodeferry.toml in the user's configuration folder), the environment and
    `overrides` (None values are left out), later ones winning. Raises InvalidSetting naming the culprit."""
    environ = os.environ if environ is None else environ
    path = file or Path(platformdirs.user_config_dir("nodeferry")) / "nodeferry.toml"
    raw: dict[str, Any] = _read_toml(path)
    raw |= _from_environment(environ)
    raw |= {name: value for name, value in (overrides or {}).items() if value is not None}
    known = {f.name: f.default for f in fields(Settings)}
    unknown = sorted(set(raw) - set(known))
    if unknown:
        raise InvalidSetting(f"Unknown setting {unknown[0]!r}.", field=unknown[0], hint=f"Known: {', '.join(known)}.")
    values = {name: _convert(name, value) for name, value in raw.items()}
    for name in _DURATIONS & set(values):
        if not 0 <= values[name] < float("inf"):
            raise InvalidSetting(f"{name} is {values[name]!r}; expected a number from 0 on.", field=name)
    if values.get("log_format", "text") not in {"text", "json"}:
        raise InvalidSetting(f"log_format is {values['log_format']!r}; expected text or json.", field="log_format")
    _check_policies(values)
    _check_proxies(values)
    redaction.register_variables(environ)
    redaction.register(values.get("token", ""))
    redaction.register_text(values.get("database_url", ""))
    return Settings(**values)


def _check_policies(values: dict[str, Any]) -> None:
    for name in (f"policy_{kind}" for kind in KINDS):
        if values.get(name, ALLOW) not in WORDS:
            raise InvalidSetting(f"{name} is {values[name]!r}; expected {', '.join(WORDS)}.", field=name)
    if values.get("known_bad_file"):
        values["known_bad_file"] = str(Path(values["known_bad_file"]).expanduser().absolute())
        known_bad_of(Path(values["known_bad_file"]))


@cache
def known_bad_of(path: Path) -> list[dict[str, Any]]:
    """The entries of the service's own list, as the runner is sent them; read once. Raises InvalidSetting."""
    try:
        entries: list[dict[str, Any]] = json.loads(read_small(path, KNOWN_BAD_BYTES))
        read_known_bad(entries)
    except (OSError, UnusableFile, ValueError, RecursionError) as exc:
        raise InvalidSetting(f"{path} is no list of what is known to be bad: {exc}.", field="known_bad_file") from exc
    return entries


def _check_proxies(values: dict[str, Any]) -> None:
    try:
        networks_of(values.get("trusted_proxies", ()))
        _check_origins(values.get("allowed_origins", ()))
        if "path_prefix" in values:
            values["path_prefix"] = prefix_of(values["path_prefix"])
    except InvalidRequest as exc:
        raise InvalidSetting(exc.message, hint=exc.hint, field=exc.field) from None


def _check_origins(origins: tuple[str, ...]) -> None:
    for text in origins:
        if not origin_of(text):
            raise InvalidRequest(
                f"allowed_origins has {text[:80]!r}, which is no origin.",
                hint="Write it as the browser's address begins, without a path: https://gpu.example:8443",
                field="allowed_origins",
            )


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    names = {f.name for f in fields(Settings)}
    found = {name: environ.get(ENV_PREFIX + name.upper()) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_small(path, CONFIG_BYTES).decode("utf-8"))
    except FileNotFoundError:
        return {}
    except UnusableFile as exc:
        raise InvalidSetting(f"The settings cannot be read: {exc}.", field=str(path)) from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidSetting(f"{path} is not valid TOML: {exc}.", field=str(path)) from exc


def _convert(name: str, value: Any) -> Any:
    """`value` (text from the environment, or TOML's own type) as the field's type."""
    default = getattr(_DEFAULTS, name)
    try:
        if name == "notify_urls" and isinstance(value, str):  # an address may have commas in it
            return tuple(part for part in re.split(r"[,\s]+(?=[a-z0-9+]+://)", value.strip(" ,\n")) if part)
        if isinstance(default, tuple):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(str(part).strip() for part in parts if str(part).strip())
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if isinstance(default, Path):
            return Path(value).expanduser().absolute()
        return type(default)(value)
    except (TypeError, ValueError, KeyError) as exc:
        raise InvalidSetting(f"{name} is {value!r}; expected {type(default).__name__}.", field=name) from exc


_DEFAULTS = Settings()


def caller_environment(without: tuple[str, ...] = ()) -> dict[str, str]:
    """A copy of this process's environment for a child, without Nodeferry's own variables and those in `without`."""
    return {name: text for name, text in os.environ.items() if not name.startswith(ENV_PREFIX) and name not in without}
