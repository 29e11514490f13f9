"""A ComfyUI that runs: where it answers, and what it says of its packs.

Sources: ComfyUI's cli_args.py (where it listens), server.py (`/system_stats`, `/object_info`) and internal_routes.py
(`/internal/logs/raw`: what it printed last, its table of imports among it; versions from 2025 on have it).
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, FrozenSet, List, Mapping, Optional, Sequence

from app.runner.comfyui.output import Import, by_entry, imports_of
from app.runner.context import Context
from app.runner.machine.comfyui_processes import Process
from app.runner.machine.layout import running_with
from app.runner.process.within import within

_ANSWER_SECONDS = 10.0
_CLASSES_SECONDS = 120.0
_SHORT_SECONDS = 30.0
_MOST_BYTES = 256 * 1024 * 1024
_MAPPINGS = "NODE_CLASS_MAPPINGS"


@dataclass(frozen=True)
class Loaded:
    """What a ComfyUI that runs says of its packs, by entry of custom_nodes: those that it has classes of, and its own
    table of imports. None where it does not say."""

    classes: Optional[FrozenSet[str]] = None
    imports: Optional[Mapping[str, Import]] = None

    def has(self, name: str) -> bool:
        """Whether it says that the pack is loaded."""
        row = (self.imports or {}).get(name)
        return row.good if row else name in (self.classes or ())

    def failed(self, name: str) -> Optional[Import]:
        """The row that says that it could not be imported, where there is one."""
        row = (self.imports or {}).get(name)
        return row if row and not row.good else None

    def misses(self, name: str, pack: Path) -> bool:
        """Whether it should know the pack and does not. One without node classes is in the table alone."""
        if self.has(name) or self.failed(name):
            return False
        return self.imports is not None or (self.classes is not None and not has_no_classes(pack))


def running_here(context: Context) -> List[Process]:
    """The ComfyUIs that run from this run's folder, with its base directory."""
    return running_with(context.ui_home, context.base)


def answers(address: str) -> bool:
    """Whether ComfyUI answers there; one that some pack has put a login before does too."""
    from http.client import HTTPException  # these take as long to import as a third of the runner, for few calls
    from urllib.error import HTTPError

    def opened() -> bool:
        with _open(address + "/system_stats", _ANSWER_SECONDS):
            return True

    try:
        return within(2 * _ANSWER_SECONDS, opened)
    except HTTPError as exc:
        return exc.code in (401, 403)
    except (OSError, ValueError, HTTPException):
        return False


def loaded_by(address: str, custom_nodes: Path, others: Sequence[Path] = ()) -> Loaded:
    """What it says of its packs."""
    table = imports_of(_printed(_asked(address + "/internal/logs/raw", _ANSWER_SECONDS)))
    imports = None if table is None else by_entry(table, custom_nodes, others)
    return Loaded(packs_in(_asked(address + "/object_info", _CLASSES_SECONDS)), imports)


def _open(url: str, seconds: float) -> Any:
    """No proxy, and any certificate: it is this machine itself."""
    import ssl
    from urllib.request import HTTPSHandler, ProxyHandler, build_opener  # as in `answers`

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    own = HTTPSHandler(context=context)
    return build_opener(ProxyHandler({}), own).open(url, timeout=seconds)


def _asked(url: str, seconds: float) -> Optional[Any]:
    """The JSON at an address on this machine; None when there is none."""
    from http.client import HTTPException

    def read() -> Any:
        with _open(url, seconds) as answer:
            return json.loads(answer.read(_MOST_BYTES))

    try:
        return within(2 * seconds, read)
    except (OSError, ValueError, HTTPException, RecursionError, MemoryError):  # any pack may have had a hand in it
        return None


def _printed(logs: Any) -> str:
    entries = logs.get("entries") if isinstance(logs, dict) else None
    return "".join(str(entry.get("m", "")) for entry in entries or () if isinstance(entry, dict))


def packs_in(object_info: Any) -> Optional[FrozenSet[str]]:
    """The entries of custom_nodes that have classes in `/object_info`; None when it says nothing of where they are
    from."""
    modules = _modules(object_info)
    if modules is None:
        return None
    return frozenset(module.partition(".")[2] for module in modules.values() if module.startswith("custom_nodes."))


def modules_of(address: str) -> Optional[Mapping[str, str]]:
    """The module of each class that the ComfyUI at an address has, as `python_module` has it; None when it says
    nothing. One that runs and works may take long: what is asked before an install does not wait for it."""
    return _modules(_asked(address + "/object_info", _SHORT_SECONDS))


def _modules(object_info: Any) -> Optional[Mapping[str, str]]:
    if not isinstance(object_info, dict):
        return None
    classes = {str(name): about for name, about in object_info.items() if isinstance(about, dict)}
    return {name: str(about.get("python_module", "")) for name, about in classes.items()}


def has_no_classes(pack: Path) -> bool:
    """Whether the pack's own file says that it has no node classes (its mappings are `{}`): it is for the browser
    alone."""
    try:
        tree = ast.parse((pack / "__init__.py" if pack.is_dir() else pack).read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return False
    values = [value for node in ast.walk(tree) for value in _assigned(node)]
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == _MAPPINGS]
    brought = [name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names]
    empty = bool(values) and all(isinstance(value, ast.Dict) and not value.keys for value in values)
    return empty and len(named) == len(values) and not {"*", _MAPPINGS} & set(brought)


def _assigned(node: ast.AST) -> List[ast.expr]:
    """What the mappings are set to here."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if not any(isinstance(target, ast.Name) and target.id == _MAPPINGS for target in targets):
        return []
    value = getattr(node, "value", None)
    return [value] if value is not None else []
