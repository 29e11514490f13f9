"""The options of a run. Each is defined here, once.

These are made from the definition: the request's `options` and their OpenAPI, the stored record, the runner's request
and what the runner reads of it, the flags of both command lines, the requests of retries, rollbacks and restarts, and
the tables in docs/. A new option is an entry in `Options` and the code that reads it.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Callable, Dict, FrozenSet, Mapping, Optional, Tuple, Union, get_args, get_type_hints

from app.protocol.policies import check_policy
from app.protocol.wheelhouse_address import check_wheelhouse

SERVICE = "service"
RUNNER = "runner"
RETRY = "retry"
ROLLBACK = "rollback"
RESTART = "restart"

MOST_ENTRIES = 50
"""Of an option that is a list."""
_YANKED_PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}==[A-Za-z0-9][A-Za-z0-9.!+_-]{0,49}", re.ASCII)
_EVERY_FOLLOW_UP = frozenset({RETRY, ROLLBACK, RESTART})


@dataclass(frozen=True)
class Option:
    """What is known of one option. `help` is a sentence without its full stop, for the tables."""

    name: str
    type: type
    """bool, int, float or str; of a list, of its entries."""
    default: Any
    help: str
    readers: FrozenSet[str]
    """Of SERVICE and RUNNER: who acts on it. The runner is sent only what it reads."""
    flag: str
    """The command lines' flag. A bool's says the opposite of its default."""
    flag_help: str
    """A sentence without its full stop: what the flag does."""
    choices: Tuple[str, ...] = ()
    valid: Optional[Callable[[str], object]] = None
    """Looks closer at a text, or at each of a list's. Raises ValueError with a sentence."""
    minimum: Optional[int] = None
    maximum: Optional[int] = None
    metavar: str = ""
    shown_default: str = ""
    """In the docs, where the default is None."""
    kept_by: FrozenSet[str] = frozenset({RETRY})
    """Of RETRY, ROLLBACK and RESTART: the tasks that take it over from the one that they follow."""
    on_terminal: Any = None
    """What a command line sends on a terminal where the flag is not given; None: nothing."""
    step: str = ""
    """The step by which a workflow says it instead."""
    not_for_workflow: str = ""
    """Why the command `workflow` has no such flag; empty: it has."""
    not_standalone: str = ""
    """Why the standalone runner has no such flag; empty: it has."""
    not_on_pages: str = ""
    """Why no form offers it; empty: one does."""

    @property
    def is_list(self) -> bool:
        """Whether it is a list of texts."""
        return isinstance(self.default, tuple)

    def check(self, value: Any) -> Any:
        """`value`, if it is of the option's type and one of its choices; a list as a tuple. Raises ValueError."""
        if self.is_list:
            return self._check_list(value)
        if value is None and self.default is None:
            return value
        wanted: Union[type, Tuple[type, ...]] = (int, float) if self.type is float else self.type
        if not isinstance(value, wanted) or (isinstance(value, bool) and self.type is not bool):
            raise ValueError("options.%s is not %s: %.80r" % (self.name, self.type.__name__, value))
        if self.choices and value not in self.choices:
            raise ValueError("options.%s is none of %s: %.80r" % (self.name, ", ".join(self.choices), value))
        self._look_closer(str(value))
        return value

    def _check_list(self, value: Any) -> Tuple[str, ...]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) for each in value):
            raise ValueError("options.%s is not a list of texts: %.80r" % (self.name, value))
        if len(value) > MOST_ENTRIES:
            raise ValueError("options.%s is longer than %d entries" % (self.name, MOST_ENTRIES))
        for each in value:
            self._look_closer(each)
        return tuple(value)

    def _look_closer(self, text: str) -> None:
        try:
            if self.valid is not None:
                self.valid(text)
        except ValueError as exc:
            raise ValueError("options.%s is not usable: %s" % (self.name, exc)) from None


def check_yanked_pin(text: str) -> str:
    """`text`, if it names one version of one package. Raises ValueError."""
    if not _YANKED_PIN.fullmatch(text):
        raise ValueError("%.80r is not written as name==version" % text)
    return text


def _option(default: Any, text: str, flag: str, flag_help: str, *readers: str, **about: Any) -> Any:
    about.update(help=text, flag=flag, flag_help=flag_help, readers=frozenset(readers))
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Options:
    """The options of one run, with their values."""

    existing: str = _option(
        "keep",
        "what to do with a node pack that is installed already, in whichever folder",
        "--existing",
        "what to do with node packs that are installed already",
        RUNNER,
        choices=("keep", "update", "reinstall"),
    )
    exact: bool = _option(
        False,
        "with a lock: install everything exactly as it says, or change nothing",
        "--exact",
        "with a lock: install everything exactly as it says, or change nothing",
        SERVICE,
        RUNNER,
    )
    run_scripts: bool = _option(
        True,
        "whether to run the packs' install.py",
        "--no-scripts",
        "do not run the packs' install.py",
        RUNNER,
    )
    verify: bool = _option(
        True,
        "whether ComfyUI itself is asked to import the packs",
        "--no-verify",
        "do not ask ComfyUI to import the packs",
        RUNNER,
        step="verify_dependencies",
    )
    restart: bool = _option(
        False,
        "whether to restart a running ComfyUI at the end",
        "--restart",
        "restart a running ComfyUI at the end",
        RUNNER,
        step="restart_comfyui",
    )
    plan_only: bool = _option(
        False,
        "say what would be changed, and change nothing",
        "--plan-only",
        "say what would be changed, and change nothing",
        SERVICE,
        RUNNER,
        not_for_workflow="--review-plan shows the plan first",
        not_on_pages="the start page can show the plan before it installs",
    )
    build_for_plan: bool = _option(
        False,
        "with plan_only: also build what only a build can plan; that runs packages' own code, without logins, tokens "
        "or keys in its environment",
        "--build-for-plan",
        "with --plan-only: also build what only a build can plan, which runs packages' own code",
        RUNNER,
        not_for_workflow="it plans without builds, and asks before it installs",
        not_on_pages="the plan that the start page shows names what would be built",
    )
    wait_for_provisioning: bool = _option(
        True,
        "whether to wait while the instance's image still sets itself up",
        "--no-wait-for-provisioning",
        "do not wait while the machine's image still sets itself up",
        RUNNER,
        kept_by=_EVERY_FOLLOW_UP,
        not_on_pages="the start page asks when it matters",
    )
    on_failure: str = _option(
        "keep",
        "what to do when a pack is not good at the end: keep the others, or undo the whole run",
        "--on-failure",
        "when a pack is not good at the end: keep the others, or undo the whole run",
        RUNNER,
        choices=("keep", "rollback"),
    )
    ask: str = _option(
        "never",
        "whether to wait for a person's answer where the run has a question; `never`: what changes least is done",
        "--ask",
        "whether to ask you when something is to be decided, or to do what changes least",
        RUNNER,
        choices=("never", "ask"),
        on_terminal="ask",
        kept_by=_EVERY_FOLLOW_UP,
    )
    which_comfyui: str = _option(
        "guess",
        "without ui_home: work in the likeliest ComfyUI (guess), only in one without doubt (sure), or only in one that "
        "was confirmed; a doubt is a question, and with `ask` never the run's end",
        "--which-comfyui",
        "without --ui-home: take the likeliest ComfyUI, only one without doubt, or only one that you confirm",
        SERVICE,
        RUNNER,
        choices=("guess", "sure", "confirmed"),
        not_standalone="it runs on the machine itself",
        not_on_pages="the start page shows the folder, and asks where there are several",
    )
    repair: str = _option(
        "suggest",
        "what to do about packs that fail by a package's or their own version: nothing, suggest a set of versions with "
        "which more packs load and none is lost, or apply it",
        "--repair",
        "for packs that fail by a version: do nothing, suggest versions with which more load, or apply them",
        RUNNER,
        choices=("off", "suggest", "apply"),
        not_on_pages="the task's page offers what was found",
    )
    repair_seconds: int = _option(
        300,
        "how long a run may look for such versions, in seconds",
        "--repair-seconds",
        "how long to look for versions with which more packs load",
        RUNNER,
        minimum=1,
        maximum=3600,
        not_on_pages="five minutes are enough for most",
    )
    wheelhouse: Optional[str] = _option(
        None,
        "wheels of your own, offered besides the registry's: an http(s) address, or a folder on the instance",
        "--wheelhouse",
        "wheels of your own besides the registry's: an http(s) address, or a folder on the instance",
        RUNNER,
        metavar="URL_OR_FOLDER",
        shown_default="none",
        valid=check_wheelhouse,
        kept_by=frozenset({RETRY, ROLLBACK}),
        not_on_pages="who has wheels of their own has a command line, or the API",
    )
    allow_yanked: Tuple[str, ...] = _option(
        (),
        "versions that may be installed for packages that need exactly them, though their author has withdrawn them",
        "--allow-yanked",
        "install this version for packages that need it, though its author has withdrawn it; may be repeated",
        RUNNER,
        metavar="NAME==VERSION",
        shown_default="none",
        valid=check_yanked_pin,
        not_on_pages="the hint of a pack that needs one names it for the command line and the API",
    )
    system_packages: str = _option(
        "off",
        "whether missing system libraries and programs are installed with apt-get, as root",
        "--system-packages",
        "whether to install missing system libraries and programs with apt-get, as root",
        RUNNER,
        choices=("off", "ask", "install"),
        not_on_pages="a pack that lacks one says which, and how to install it",
    )
    policies: Tuple[str, ...] = _option(
        (),
        "stricter rules than the service's for what packs run or bring (scripts, prestartup, direct_urls, indexes, "
        "builds): each is allow, ask or refuse",
        "--policy",
        "for scripts, prestartup, direct_urls, indexes or builds of packs: allow, ask or refuse; may be repeated",
        SERVICE,
        RUNNER,
        metavar="KIND=WORD",
        shown_default="none",
        valid=check_policy,
        kept_by=_EVERY_FOLLOW_UP,
        not_on_pages="a service that wants it for all has the settings NODEFERRY_POLICY_…",
    )
    require: str = _option(
        "any",
        "how many packs must be good for the `success` of a finished run",
        "--require",
        "how many packs must be good for a success",
        SERVICE,
        choices=("any", "all"),
        not_for_workflow="each step says how many packs are good",
        not_standalone="the exit status tells all from some",
        not_on_pages="the pages show each pack",
    )
    wait_seconds: Optional[float] = _option(
        None,
        "how long to wait for an instance that is not up yet; 0: not at all",
        "--wait-seconds",
        "how long to wait for an instance that is not up yet",
        SERVICE,
        minimum=0,
        maximum=86_400,
        shown_default="300",
        kept_by=_EVERY_FOLLOW_UP,
        not_standalone="it runs on the instance",
        not_on_pages="the setting NODEFERRY_WAIT_SECONDS holds",
    )
    host_key_sha256: Optional[str] = _option(
        None,
        "the only host key to accept, as ssh-keygen prints its fingerprint",
        "--host-key-sha256",
        "the only host key to accept",
        SERVICE,
        metavar="SHA256:…",
        kept_by=_EVERY_FOLLOW_UP,
        not_standalone="it runs on the instance",
        not_on_pages="the pages show a new key, and ask about another one",
    )
    first_contact: str = _option(
        "accept",
        "whether the host key of a machine that was never met is trusted by itself, or a person is asked first: a "
        "workflow asks, an install fails with host_key_unknown; of jump hosts too",
        "--first-contact",
        "whether to trust the host key of a machine that was never met",
        SERVICE,
        choices=("accept", "ask"),
        kept_by=_EVERY_FOLLOW_UP,
        not_standalone="it runs on the instance",
        not_on_pages="the start page always asks",
    )
    auto_retry: int = _option(
        0,
        "how often the service itself retries what failed for a reason that may pass",
        "--auto-retry",
        "how often to retry what failed for a reason that may pass",
        SERVICE,
        minimum=0,
        maximum=5,
        not_standalone="the service does it",
    )

    @classmethod
    def read(cls, stored: Optional[Mapping[str, Any]]) -> Options:
        """From JSON: of a record, or of the runner's request. What is not there has its default, and names that are
        not known (an older or newer version's) are ignored. Raises ValueError for a value that the option cannot have.
        """
        given = stored or {}
        return cls(**{name: option.check(given[name]) for name, option in OPTIONS.items() if name in given})

    def to_json(self) -> Dict[str, Any]:
        """All of them, as a record keeps them."""
        return {name: _as_json(value) for name, value in asdict(self).items()}

    def for_runner(self) -> Dict[str, Any]:
        """Those that the runner reads, as its request has them."""
        return {name: value for name, value in self.to_json().items() if RUNNER in OPTIONS[name].readers}

    def kept_by(self, follow_up: str) -> Options:
        """What a RETRY, ROLLBACK or RESTART takes over; the rest has its default."""
        return Options(**{name: value for name, value in asdict(self).items() if follow_up in OPTIONS[name].kept_by})


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_HINTS = get_type_hints(Options)
OPTIONS: Mapping[str, Option] = {
    each.name: Option(each.name, (get_args(_HINTS[each.name]) or [_HINTS[each.name]])[0], each.default, **each.metadata)
    for each in fields(Options)
}
"""Every option by its name, in the order of the definition. The type of an Optional is what it is when it is given."""
