"""Where the sources use reason codes, with the message and the hint beside each: for docs/messages.md and for the
test that compares them with the registry."""

from __future__ import annotations

import ast
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_REPORTERS = frozenset({"Problem", "Signature", "RunFault", "Question", "Waiting", "Warned", "warn"})
"""What is called with a code as its first argument."""
PLACE = "…"
"""Stands in a message for what is only known when it is written."""
_Parts = tuple[ast.expr, ast.expr | None, ast.expr | None]
"""Where a code, its message and its hint stand."""
_SKIPPED = ("app/standin/comfyui/", "app/protocol/reasons.py", "app/protocol/request_reasons.py")


@dataclass(frozen=True, slots=True)
class Use:
    """One place that names a code. `message` and `hint` are empty where the source does not have them there."""

    code: str
    where: str
    message: str = ""
    hint: str = ""


@cache
def uses() -> Sequence[Use]:
    """Every code that `app` names, in the order of files and lines. Read once: the sources stay as they are."""
    modules = [_Module(path) for path in sorted((ROOT / "app").rglob("*.py"))]
    constants = {name: value for module in modules for name, value in module.constants.items()}
    return [
        use for module in modules if not module.name.startswith(_SKIPPED) for use in module.uses(constants) if use.code
    ]


class _Module:
    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(ROOT).as_posix()
        self._tree = ast.parse(path.read_text("utf-8"))
        self.constants = {
            name: value
            for node in self._tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for name, value in _assigned(node)
        }
        self._scopes = [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]
        self._functions = {node.name: node for node in self._scopes}

    def uses(self, constants: dict[str, ast.expr]) -> Iterator[Use]:
        """What this module names. `constants`: of all modules, for names that are imported."""
        for scope in [self._tree, *self._scopes]:
            nodes = list(_own(scope))
            texts = _Texts(scope, nodes, ChainMap(self.constants, constants))
            for node in nodes:
                line = getattr(node, "lineno", 0)
                for code, message, hint in self._named(node):
                    for value in texts.values(code):
                        yield Use(value, f"{self.name}:{line}", texts.text(message, line), texts.text(hint, line))

    def _named(self, node: ast.AST) -> Iterator[_Parts]:
        """The code, message and hint that one node of the tree has."""
        if isinstance(node, ast.Call):
            yield from self._in_call(node)
        elif isinstance(node, ast.Dict):
            items = zip(node.keys, node.values, strict=True)
            keys = {key.value: value for key, value in items if isinstance(key, ast.Constant)}
            if "code" in keys:
                yield keys["code"], keys.get("message"), keys.get("hint")
        elif isinstance(node, ast.ClassDef):
            said = ast.Constant((ast.get_docstring(node) or "").split("\n")[0])
            lines = [line for line in node.body if isinstance(line, ast.Assign)]
            yield from ((value, said, None) for line in lines for name, value in _assigned(line) if name == "code")

    def _in_call(self, node: ast.Call) -> Iterator[_Parts]:
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        places = _places(self._functions[function]) if function in self._functions else {}
        if function in _REPORTERS and node.args:
            at = 3 if function == "Signature" else 1
            yield node.args[0], _at(node.args, at), _at(node.args, at + 1) or named.get("hint")
        elif "code" in places and places["code"] < len(node.args):
            code, message, hint = (
                _at(node.args, places.get(name, len(node.args))) for name in ("code", "message", "hint")
            )
            if code is not None:
                yield code, message, hint
        elif "code" in named:
            said = next((each for each in node.args if not _is_number(each)), None)  # a status may stand before it
            yield named["code"], named.get("message") or said, named.get("hint")


def _places(function: ast.FunctionDef) -> dict[str, int]:
    """The places of a function's parameters among a call's arguments, by name."""
    return {name: at for at, name in enumerate(each.arg for each in function.args.args if each.arg != "self")}


class _Texts:
    """The values that expressions of one function, or of a module's top, can have."""

    def __init__(self, scope: ast.AST, nodes: Sequence[ast.AST], constants: Mapping[str, ast.expr]) -> None:
        self._constants = constants
        local: dict[str, list[ast.expr]] = {}
        for node in nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for name, value in _assigned(node):
                    local.setdefault(name, []).append(value)
        self._local = {value.lineno for values in local.values() for value in values}
        self._own: dict[str, list[ast.expr]] = {}
        if isinstance(scope, ast.FunctionDef):
            self._own = {each.arg: [] for each in [*scope.args.args, *scope.args.kwonlyargs]} | local

    def _known(self, name: str) -> Sequence[ast.expr]:
        """What a name stands for: here, else in the module, else wherever it is imported from."""
        if name in self._own:
            return self._own[name]
        return [self._constants[name]] if name in self._constants else ()

    def values(self, node: ast.expr, depth: int = 0) -> Sequence[str]:
        """The codes that an expression can be; none for what is passed on."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.IfExp):
            return [*self.values(node.body, depth), *self.values(node.orelse, depth)]
        if isinstance(node, ast.Name) and depth < 3:
            return [found for value in self._known(node.id) for found in self.values(value, depth + 1)]
        return []

    def text(self, node: ast.expr | None, line: int, depth: int = 0) -> str:
        """A message as far as the source has it at that line."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self.text(part, line) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
            return re.sub(r"%(?:\.\d+)?[srdg]", PLACE, self.text(node.left, line, depth))
        if isinstance(node, ast.BinOp):
            return self.text(node.left, line, depth) + self.text(node.right, line, depth)
        if isinstance(node, ast.IfExp):
            return _joined(self.text(node.body, line, depth), self.text(node.orelse, line, depth))
        if isinstance(node, ast.Name) and depth < 3:
            known = self._known(node.id)
            before = [value for value in known if value.lineno <= line and value.lineno in self._local] or known
            return self.text(before[-1], line, depth + 1) if before else PLACE
        return "" if node is None else PLACE


def _joined(*texts: str) -> str:
    return " / ".join(dict.fromkeys(texts))


def _assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[tuple[str, ast.expr]]:
    """Names and values of an assignment, tuples taken apart."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        if isinstance(target, ast.Name) and node.value is not None:
            yield target.id, node.value
        elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = zip(target.elts, node.value.elts, strict=False)
            yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, without those of the functions in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from _own(child)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _at(nodes: Sequence[ast.expr], index: int) -> ast.expr | None:
    return nodes[index] if index < len(nodes) else None
