"""The provisioning scripts that people share for rented machines: bash arrays of node packs, packages and models, and
the variables that vast.ai's provisioner reads. Read as text; nothing of a script is ever run."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Tuple

from app.protocol.left_out import LeftOutEntries, readable
from app.protocol.other_files.provisioning import APT, folder_of
from app.protocol.other_files.sections import Sections
from app.protocol.other_files.shell_text import Script, Word, commands, read_script
from app.protocol.other_files.variables import expanded
from app.protocol.pasted_text import is_address

_SIGN = re.compile(
    r"^[ \t]*(?:(?:declare|export|readonly|typeset)[ \t]+(?:-\w+[ \t]+)*)?(?:\w*(?:NODES|MODELS|PIP_PACKAGES)\w*\+?=\("
    r"|PROVISIONING_(?:GIT_REPOS|DOWNLOADS|PIP|APT)=)|^#!.*\b(?:ba)?sh\b",
    re.MULTILINE,
)
_NODES = re.compile(r"(?:^|_)(?:CUSTOM_?)?NODES?(?:_|$)|CUSTOM_NODE|NODE_(?:REPOS|URLS)", re.IGNORECASE)
_FOLDERS: Tuple[Tuple[str, str], ...] = (
    ("CLIP_VISION", "clip_vision"), ("TEXT_ENCODER", "text_encoders"), ("CLIP", "text_encoders"),
    ("CHECKPOINT", "checkpoints"), ("CKPT", "checkpoints"), ("LORA", "loras"), ("VAE", "vae"),
    ("CONTROLNET", "controlnet"), ("UNET", "diffusion_models"), ("DIFFUSION", "diffusion_models"),
    ("ESRGAN", "upscale_models"), ("UPSCALE", "upscale_models"), ("EMBEDDING", "embeddings"),
    ("STYLE", "style_models"), ("MODEL", ""),
)  # fmt: skip
_PIPS = frozenset({"PIP", "PYTHON"})
_USED = re.compile(r"\"?\$\{(\w+)\[[@*]\]\}\"?")
_PLACE = re.compile(r"\$\{?(\w+)\}?(?=/)")
_MODELS_PATH = re.compile(r"/models/([\w./-]+)")
_CLONE = re.compile(r"\bgit\s+clone\b([^;&|\n]*)")
_CD = re.compile(r"^\s*(?:cd|pushd)\s+([^\s;&|]+)")
_UNKNOWN = "Only running the script could tell what it is, and nothing of it is run. Write it out, or add its address."
_CLONED = (
    "The script clones it to a folder that is not named below custom_nodes. Add its address, if it is a node pack."
)


def is_script(text: str) -> bool:
    """Whether a text is a shell script or has its arrays."""
    return _SIGN.search(text) is not None


def read_legacy(text: str, where: str, out: LeftOutEntries) -> Sections:
    """What a script's arrays name. Raises ManifestFault naming the line."""
    found = Sections("a provisioning script", out)
    script = read_script(text, where)
    folders = _folders_of(script)
    for name, words in script.arrays.items():
        known = [word for word in words if word.text]
        for word in words:
            if word.text is None and _is_list(name, folders):
                out.add("%s, line %d: %s" % (name, word.line, readable(word.raw)[:100]), _UNKNOWN)
        _read_array(found, name, known, folders.get(name))
    _read_variables(found, script)
    _read_clones(found, script)
    out.remark("The script itself is not run: what else it does is left out.")
    return found


def _is_list(name: str, folders: Dict[str, str]) -> bool:
    """Whether an array is one of those that people fill in; scripts have others for their own work."""
    kinds = {"APT", "WORKFLOWS", *_PIPS} & set(name.upper().split("_"))
    return bool(kinds or name in folders or _NODES.search(name) or _by_name(name))


def _by_name(name: str) -> Optional[str]:
    """The folder below `models` by an array's name; "" for models of no certain kind, None for no models."""
    return next((folder for word, folder in _FOLDERS if word in name.upper()), None) if name.isupper() else None


def _read_array(found: Sections, name: str, words: List[Word], folder: Optional[str]) -> None:
    texts = [str(word.text) for word in words]
    upper = name.upper()
    if "APT" in upper.split("_"):
        found.leave_out_all(name, texts, APT)
    elif _PIPS & set(upper.split("_")):
        found.pips += [part for text in texts for part in text.split() if not part.startswith("-")]
    elif _NODES.search(name):
        for text in texts:
            url, _, rest = text.partition("|")
            address, *more = url.split()[:2] or [""]
            found.add_pack(address, more[0] if more else "", folder_of(rest) or "")
    elif "WORKFLOW" in upper:
        found.leave_out_all(name, texts, "A workflow can be given to Nodeferry itself: download it, then drop it.")
    else:
        _read_models(found, _by_name(name), texts, folder)


def _read_models(found: Sections, by_name: Optional[str], texts: List[str], folder: Optional[str]) -> None:
    if folder is None and by_name is None:
        return
    for text in texts:
        url, _, dest = text.partition("|")
        if "://" not in url:
            continue
        if "/models/" in dest:
            found.add_model(url.strip(), dest)
        else:
            found.add_model(url.strip(), name=dest.strip() or _file_name(url), folder=folder or by_name)


def _file_name(url: str) -> str:
    name = url.strip().partition("?")[0].rpartition("/")[2]
    return name if "." in name else ""


def _folders_of(script: Script) -> Dict[str, str]:
    """The folder below `models` that each array's files go to, by the call that is given both."""
    found: Dict[str, str] = {}
    for _, line in commands(script):
        used = _USED.findall(line)
        path = _MODELS_PATH.search(_filled(line, script.scalars)) if used else None
        if used and path:
            found.update({name: path.group(1).strip("/.") for name in used if name not in found})
    return found


def _filled(line: str, known: Dict[str, str]) -> str:
    """A line with the script's own plain variables in it, as `"${MODELS_DIR}/vae"` needs it."""
    return _PLACE.sub(lambda found: known.get(found.group(1), found.group(0)), line)


def _read_variables(found: Sections, script: Script) -> None:
    """What vast.ai's provisioner reads from the environment."""
    values = {
        name: [part.strip() for part in text.split(";") if part.strip() and not part.strip().startswith("#")]
        for name, text in script.scalars.items()
        if name.startswith("PROVISIONING_")
    }
    for entry in values.get("PROVISIONING_GIT_REPOS", ()):
        url, dest, ref = [*(part.strip() for part in entry.split("|")), "", ""][:3]
        folder = folder_of(dest)
        if folder:
            found.add_pack(url, ref, folder)
        else:
            found.out.add(url, _CLONED)
    for entry in values.get("PROVISIONING_DOWNLOADS", ()):
        url, _, dest = entry.partition("|")
        found.add_model(url.strip(), dest.strip())
    found.pips += values.get("PROVISIONING_PIP", [])
    found.leave_out_all("PROVISIONING_APT", values.get("PROVISIONING_APT", []), APT)
    for name in ("PROVISIONING_CONDA", "PROVISIONING_POST_COMMANDS", "PROVISIONING_COMFYUI_WORKFLOWS"):
        found.leave_out_all(name, values.get(name, []), "It is not done: only node packs are installed from this file.")


def _read_clones(found: Sections, script: Script) -> None:
    """Addresses that are cloned by a command of their own, into custom_nodes where the command or the `cd` before it
    says so."""
    folder = ""
    for _, line in commands(script):
        moved = _CD.match(line)
        if moved:
            folder = expanded(moved.group(1).strip("'\""), script.scalars) or moved.group(1)
        clone = _CLONE.search(line)
        words = clone.group(1).split() if clone else []
        bare = [word.strip("'\"") for word in words]
        at = next((index for index, word in enumerate(bare) if is_address(word)), None)
        if at is None:
            continue
        dest = next((word for word in bare[at + 1 :] if not word.startswith("-")), "")
        is_pack = "custom_nodes/" in dest or (folder.rstrip("/").endswith("custom_nodes") and "/" not in dest)
        if is_pack:
            path = dest if "/" in dest else "/custom_nodes/" + dest
            found.add_pack(bare[at], "", folder_of(expanded(path, script.scalars) or "") or "")
        else:
            found.out.add(bare[at], _CLONED)
