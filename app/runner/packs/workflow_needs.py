"""A list that was made from a workflow, held against the ComfyUI of this machine before anything is fetched.

What ComfyUI itself or an installed pack offers by now needs no pack; a class of ComfyUI's own that this one lacks is
told. Facts about the machine only ever take away packs and questions. Source: `/object_info` of the ComfyUI that runs
from this folder; where none runs, the version in its files.
"""

from __future__ import annotations

from typing import Dict, List, Mapping, Optional, Sequence, Set

from app.protocol.core_needs import GONE, TOO_OLD, CoreNeeds, Lack, gone_text, lacks, too_old_text
from app.protocol.manifest import NodePack, check_packs, parse_urls
from app.protocol.repo_identity import same_repo
from app.protocol.workflow_needs import OpenClass, PackClasses, needs_in
from app.runner.comfyui.running import modules_of, running_here
from app.runner.context import Context
from app.runner.machine.listening import address_of
from app.runner.machine.probe import comfyui_version
from app.runner.packs.installed import scan
from app.runner.process.errors import RunFault
from app.runner.process.processes import arguments_of

_NAMED = 5
_SKIP, _GO_ON, _STOP = "skip", "go_on", "stop"
_CUSTOM = "custom_nodes."


def settle_needs(context: Context, packs: List[NodePack], schemes: Sequence[str]) -> List[NodePack]:
    """The packs that this machine needs for the workflow; all of them for a list without one. Raises RunFault where
    ComfyUI itself cannot run it, RunCancelled, ManifestFault."""
    wanted = needs_in(context.request.get("manifest"), schemes)
    if wanted is None:
        return packs
    offered = _offered(context)
    if wanted.core is not None:
        _hold_core(context, wanted.core, offered)
    if offered is not None:
        packs = _without_offered(context, packs, wanted.packs, offered)
    asked = [each for each in wanted.open_classes if offered is None or each.name not in offered]
    _tell_settled(context, wanted.open_classes, asked)
    chosen = _chosen(context, asked, packs, schemes)
    return check_packs([*packs, *chosen], "manifest.needs") if chosen else packs


def _offered(context: Context) -> Optional[Mapping[str, str]]:
    """The module of each class that the ComfyUI here has; None where none runs, or it does not say."""
    for process in running_here(context)[:1]:
        address = address_of(arguments_of(process.pid))
        return modules_of(address) if address else None
    return None


# -- ComfyUI itself ----------------------------------------------------------------------------------------------------


def _hold_core(context: Context, wanted: CoreNeeds, offered: Optional[Mapping[str, str]]) -> None:
    version = comfyui_version(context.ui_home)
    found = lacks(wanted, version, offered)
    certain = [each for each in found if each.certain or offered is not None]
    if certain:
        _stop_or_go_on(context, _text(wanted, certain, version), certain[0].code)
    elif found:
        context.warn(found[0].code, _text(wanted, found, version))
    told = {each.core_class.name for each in found}
    missing = [each.name for each in wanted.classes if offered is not None and each.name not in offered]
    missing = [name for name in missing if name not in told]
    if missing:
        text = "The ComfyUI that runs here does not have %s, though its version should."
        hint = "It was perhaps updated and not restarted, or started without API nodes (--disable-api-nodes)."
        context.warn("core_class_missing", text % _listed(missing), hint)


def _text(wanted: CoreNeeds, found: Sequence[Lack], version: Optional[str]) -> str:
    old = [each for each in found if each.code == TOO_OLD]
    gone = [each for each in found if each.code == GONE]
    texts = [too_old_text(wanted, old, version) if old else "", gone_text(gone) if gone else ""]
    return " ".join(filter(None, texts))


def _stop_or_go_on(context: Context, text: str, code: str) -> None:
    """Nothing is fetched for a workflow that cannot run, unless a person wants it."""
    if context.options.ask != "ask":
        hint = (
            "Update ComfyUI on the machine, then start again. A run with --ask can install the node packs all the same."
        )
        raise RunFault(code, text, hint if code == TOO_OLD else "")
    answer = context.questions.ask(
        text + " Install its node packs all the same?",
        code="install_for_old_comfyui",
        hint="The workflow does not run before ComfyUI has these nodes.",
        answers={_STOP: "Stop", _GO_ON: "Install the node packs"},
        default=_STOP,
    )
    if answer == _STOP:
        raise RunFault(code, text)


# -- packs -------------------------------------------------------------------------------------------------------------


def _without_offered(
    context: Context, packs: List[NodePack], classes: Sequence[PackClasses], offered: Mapping[str, str]
) -> List[NodePack]:
    needed = {each.name: each.classes for each in classes if each.classes}
    whole = [pack for pack in packs if all(name in offered for name in needed.get(pack.name) or [""])]
    if not whole:
        return packs
    addresses = {each.name.lower(): each.address for each in scan(context.custom_nodes) if not each.disabled}
    left_out: Set[str] = set()
    for pack in whole:
        folders = {_folder(offered[name]) for name in needed[pack.name]} - {""}
        if not any(_is_own(pack, folder, addresses.get(folder.lower(), "")) for folder in folders):
            left_out.add(pack.name)
            _tell_offered(context, pack, needed[pack.name], folders, addresses)
    return [pack for pack in packs if pack.name not in left_out]


def _folder(module: str) -> str:
    """The entry of custom_nodes that a module is of; empty for ComfyUI's own."""
    return module[len(_CUSTOM) :] if module.startswith(_CUSTOM) else ""


def _is_own(pack: NodePack, folder: str, address: str) -> bool:
    """Whether a folder is the pack itself: then the run deals with it as with any pack that is there."""
    return folder.lower() == pack.folder.lower() or (bool(address) and same_repo(address, pack.repo_url))


def _tell_offered(
    context: Context, pack: NodePack, classes: Sequence[str], folders: Set[str], addresses: Mapping[str, str]
) -> None:
    named = ["custom_nodes/%s" % folder for folder in sorted(folders)]
    remotes = [addresses[folder.lower()] for folder in sorted(folders) if addresses.get(folder.lower())]
    where = ", ".join(named) + (" (%s)" % ", ".join(remotes) if remotes else "") if named else "ComfyUI itself"
    text = "%s is left out: %s has what the workflow needs of it (%s)."
    context.warn("offered_already", text % (pack.name, where, _listed(classes)))


# -- classes of which nobody knows the pack ----------------------------------------------------------------------------


def _tell_settled(context: Context, classes: Sequence[OpenClass], asked: Sequence[OpenClass]) -> None:
    settled = [each.name for each in classes if each not in asked]
    if settled:
        text = "Nothing was asked about %s: the ComfyUI that runs here has it."
        context.warn("offered_already", text % _listed(settled))


def _chosen(
    context: Context, asked: Sequence[OpenClass], packs: Sequence[NodePack], schemes: Sequence[str]
) -> List[NodePack]:
    """The packs that a person has chosen, those that are not in the list."""
    found: Dict[str, NodePack] = {}
    for each in asked:
        url = _ask(context, each)
        if url and not any(same_repo(pack.repo_url, url) for pack in [*packs, *found.values()]):
            found[url] = parse_urls([url], schemes)[0]
    return list(found.values())


def _ask(context: Context, each: OpenClass) -> Optional[str]:
    choices = {str(number): url for number, url in enumerate(each.repositories, 1)}
    if len(choices) > 1:
        text = "Which node pack has %s? The workflow does not say, and several do." % each.name
    elif choices:
        text = "Is %s of this node pack? The workflow does not say." % each.name
    else:
        text = "No node pack is known that has %s. Install the others?" % each.name
    answer = context.questions.ask(
        text,
        code="which_node_pack",
        hint="Without it the workflow does not run.",
        answers={_SKIP: "Go on without it", **(choices or {_STOP: "Stop"})},
        default=_SKIP,
        facts={"class": each.name},
    )
    if answer == _STOP:
        raise RunFault("which_node_pack", "The run was stopped: no node pack is known that has %s." % each.name)
    return choices.get(answer)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (" and %d more" % more if more > 0 else "")
