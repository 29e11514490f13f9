"""Packs that ComfyUI-Manager has brought in its own form: whether they are to be replaced, or get a fresh copy beside
them. Asked before anything is cloned, once for all packs of a kind."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence

from app.protocol.manifest import NodePack
from app.runner.context import Context
from app.runner.packs.already_installed import AlreadyInstalled
from app.runner.packs.installed import Kind, is_there

_NAMED = 5


def ask_about_copies(context: Context, packs: Sequence[NodePack]) -> None:
    """Asks, where there is something to ask; the packs that are to be installed all the same are noted in
    `context.replaced`. Raises RunCancelled."""
    if context.options.existing == "reinstall":
        return
    named: Dict[Callable[[Context, List[str]], None], List[str]] = {
        _ask_about_registry_copies: [],
        _ask_about_unpacked_copies: [],
        _ask_about_disabled: [],
    }
    for pack in packs:
        question = _question_about(context, pack)
        if question is not None:
            named[question].append(pack.name)
    for ask, names in named.items():
        if names:
            ask(context, names)


def _question_about(context: Context, pack: NodePack) -> Optional[Callable[[Context, List[str]], None]]:
    installed, folder = AlreadyInstalled.of(context), context.custom_nodes / pack.folder
    copy = None if pack.registry_id else installed.copy_of(pack)
    if copy is not None and (copy.path == folder or not is_there(folder)):
        return _ask_about_registry_copies if copy.kind is Kind.REGISTRY else _ask_about_unpacked_copies
    if copy is None and not is_there(folder) and installed.disabled(pack) is not None:
        return _ask_about_disabled
    return None


def _ask_about_registry_copies(context: Context, names: List[str]) -> None:
    answer = context.questions.ask(
        "%s installed by ComfyUI-Manager from ComfyUI's registry: %s. Replace by a clone of the repository?"
        % (_packs_were(names), _listed(names)),
        code="replace_registry_copies",
        hint="They work as they are. What is replaced is kept in custom_nodes/.disabled, your own files in it are "
        "carried over, and putting the run back restores it.",
        answers={"keep": "Leave as it is", "replace": "Replace by the repository"},
        default="keep",
        facts={"packs": names},
    )
    if answer == "replace":
        context.replaced |= set(names)


def _ask_about_unpacked_copies(context: Context, names: List[str]) -> None:
    answer = context.questions.ask(
        "%s installed from an archive, without the git repository: %s. Replace by a clone of the repository?"
        % (_packs_were(names), _listed(names)),
        code="replace_unpacked_copies",
        hint="They work as they are, but cannot be updated. What is replaced is kept in custom_nodes/.disabled, your "
        "own files in it are carried over, and putting the run back restores it.",
        answers={"keep": "Leave as it is", "replace": "Replace by the repository"},
        default="keep",
        facts={"packs": names},
    )
    if answer == "replace":
        context.replaced |= set(names)


def _ask_about_disabled(context: Context, names: List[str]) -> None:
    answer = context.questions.ask(
        "%s installed and disabled: %s. Install a fresh copy?" % (_packs_were(names), _listed(names)),
        code="install_disabled_packs",
        hint="Somebody disabled it in ComfyUI-Manager, perhaps because it broke something. The disabled copy stays.",
        answers={"keep": "Leave it disabled", "install": "Install a fresh copy"},
        default="keep",
        facts={"packs": names},
    )
    if answer == "install":
        context.replaced |= set(names)


def _packs_were(names: Sequence[str]) -> str:
    return "1 node pack was" if len(names) == 1 else "%d node packs were" % len(names)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (" and %d more" % more if more > 0 else "")
