"""Whether packages may be built in this run. uv is told not to as long as nobody has allowed it, and what it then
cannot have is asked about once."""

from __future__ import annotations

import re
import threading
from typing import List, Optional, Sequence

from app.runner.context import Context
from app.runner.policies.run_policies import Item, RunPolicies
from app.runner.process.children import Finished

_NO_WHEEL = re.compile(
    r"no\s+usable\s+wheels|building\s+from\s+source\s+is\s+disabled|[Bb]uilding\s+source\s+distributions|"
    r"\(from versions: none\)|No matching distribution"
)
_NAMED = re.compile(r"(?:Because|and)\s+([A-Za-z0-9][\w.-]*)\S*\s+has\s+no\s+usable\s+wheels")
MARK = "Nodeferry does not build it: %s."
_MOST_NAMES = 20
_making = threading.Lock()


class BuildGate:
    """One run's. From any thread."""

    def __init__(self, context: Context) -> None:
        self._policies = RunPolicies.of(context)
        unasked = context.options.plan_only and self._policies.asks("builds")
        self._may: Optional[bool] = True if unasked or self._policies.allows("builds") else None
        self._asking = threading.Lock()
        self._calls = threading.local()

    @classmethod
    def of(cls, context: Context) -> BuildGate:
        """The run's, made at its first use."""
        with _making:
            known = context.shared.get(cls.__name__)
            if not isinstance(known, cls):
                known = context.shared[cls.__name__] = cls(context)
            return known

    @property
    def may_build(self) -> bool:
        """Whether anybody has allowed it."""
        return self._may is True

    def options(self, argv: Sequence[str]) -> List[str]:
        """More options for a command of uv's."""
        self._calls.ours = not self.may_build and "--no-build" not in argv and "uninstall" not in argv
        return ["--no-build"] if self._calls.ours else []

    def is_in_the_way(self, finished: Finished) -> bool:
        """Whether uv failed since it was told here not to build."""
        ours = getattr(self._calls, "ours", False)
        return ours and not finished.ok and finished.stopped is None and bool(_NO_WHEEL.search(finished.output))

    def asked(self, output: str) -> bool:
        """Whether a person allows it, who is asked once a run. Raises RunCancelled."""
        with self._asking:
            if self._may is None:
                names = sorted(set(_NAMED.findall(output)))[:_MOST_NAMES]
                what = ", ".join(names) or "packages without a wheel"
                item = Item("This run", "%s, and what else packs of it need" % what, facts={"packages": names})
                self._may = bool(self._policies.allowed("builds", [item]))
            return self._may

    def marked(self, finished: Finished) -> Finished:
        """The same, saying why."""
        said = MARK % self._policies.why("builds")
        return Finished(finished.code, finished.raw + ("\n%s\n" % said).encode(), finished.stopped)
