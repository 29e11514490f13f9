"""Which ComfyUI of this machine is meant: its folder, and where it has its packs.

The request's, else the one that runs in this login's reach, else the image's usual place, else the only other one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from app.protocol.options import OPTIONS
from app.runner.machine import profiles
from app.runner.machine.comfyui_processes import OutOfReach, Process, Seen, is_comfyui, look
from app.runner.machine.layout import Layout, base_of, layout_of
from app.runner.machine.start_settings import start_settings
from app.runner.process.errors import RunFault
from app.runner.process.user import user_of_process

Choose = Callable[[str, Mapping[str, str]], Optional[str]]
"""Asks a person: the question, and a label for each answer. None where nobody decides. Raises RunCancelled."""
GUESS, SURE, CONFIRMED = OPTIONS["which_comfyui"].choices
_MOST_ASKED = 9


@dataclass(frozen=True)
class Home:
    """The ComfyUI to work in. `running`: the processes that run from it; `others`: ComfyUIs that run elsewhere on the
    machine, or out of this login's reach, in words."""

    ui_home: Path
    layout: Layout
    running: Tuple[Process, ...] = ()
    others: Tuple[str, ...] = ()
    out_of_reach: Tuple[OutOfReach, ...] = ()

    def hidden(self) -> List[str]:
        """The ComfyUIs that run from this folder and that this login may not look into, in words."""
        text = "A ComfyUI runs in %s that this login cannot look into (%s), so its Python and its options are unknown."
        home = os.path.realpath(str(self.ui_home))
        here = [each for each in self.out_of_reach if each.folder and os.path.realpath(each.folder) == home]
        return [text % (self.ui_home, each) for each in here]

    def in_words(self) -> str:
        """Which one was taken, and what is unusual about it."""
        how = "runs: %s" % ", ".join(map(str, self.running)) if self.running else "does not run"
        return "; ".join(filter(None, ["ComfyUI in %s %s" % (self.ui_home, how), self.layout.in_words()]))


def find_ui_home(given: Optional[str]) -> Path:
    """ComfyUI's folder alone. Raises RunFault `ui_home_not_found` or `ui_home_ambiguous`."""
    return find_home(given).ui_home


def find_home(given: Optional[str], choose: Optional[Choose] = None, care: str = GUESS) -> Home:
    """The ComfyUI that is meant. `choose`: asks where several are equally good, or as `care` (the option which_comfyui)
    says. Raises RunFault `ui_home_not_found` or `ui_home_ambiguous`, RunCancelled."""
    seen = look()
    if given:
        ui_home, base = _given(Path(given), seen)
    else:
        ui_home, base = _searched(seen, choose, care)
    return _home(seen, ui_home, layout_of(ui_home, base))


def found_homes() -> List[Dict[str, Any]]:
    """All ComfyUIs that a search sees, those that run first: their folder, and whether they run."""
    seen = look()
    running = [process.folder for process in seen.running]
    found = _distinct([path for path in (*running, *_usual_places()) if (path / "main.py").is_file()])
    return [{"path": str(path), "running": any(_is_of(each, path) for each in seen.running)} for path in found]


def home_at(ui_home: Path, layout: Layout) -> Home:
    """The ComfyUI of an earlier run, which noted its folders. Raises RunFault `ui_home_not_found`."""
    seen = look()
    return _home(seen, _given(ui_home, seen)[0], layout)


def _home(seen: Seen, ui_home: Path, layout: Layout) -> Home:
    wanted = Path(os.path.realpath(str(layout.base or ui_home)))
    running = tuple(each for each in seen.running if _is_of(each, ui_home) and base_of(each) == wanted)
    others = [str(each.folder) + " (%s)" % each for each in seen.running if each not in running]
    return Home(ui_home, layout, running, (*others, *map(str, seen.out_of_reach)), seen.out_of_reach)


def _given(path: Path, seen: Seen) -> Tuple[Path, Optional[Path]]:
    """The folder that the request names, and the base directory if it names that one."""
    if not path.is_dir():
        raise RunFault("ui_home_not_found", "There is no folder %s on the instance." % path, "Correct ui_home.")
    if (path / "main.py").is_file():
        return path, None
    real = Path(os.path.realpath(str(path)))
    homes = _distinct([process.folder for process in seen.running if base_of(process) == real])
    if not homes and (path / "custom_nodes").is_dir():
        usual = [home for home in _usual_places() if (home / "main.py").is_file()]
        homes = [home for home in _distinct(usual) if _starts_with(home, real)]
    if len(homes) == 1:
        return homes[0], path
    if is_comfyui(path / "ComfyUI"):
        return path / "ComfyUI", None
    text = "%s is not a ComfyUI folder: it has no main.py." % path
    raise RunFault("ui_home_not_found", text, "Correct ui_home.")


def _starts_with(home: Path, base: Path) -> bool:
    given = start_settings(home)[0].base_directory
    return given is not None and os.path.realpath(str(given)) == str(base)


def _searched(seen: Seen, choose: Optional[Choose], care: str) -> Tuple[Path, Optional[Path]]:
    running = _distinct([process.folder for process in seen.running])
    usual = _usual_places()
    found = _first_group((running, usual[:1], usual[1:]) if care == GUESS else (running, usual))
    if len(found) > 1 and care == GUESS and found[0] in running:
        found = _likeliest(found, seen) or found
    if len(found) == 1 and not _is_in_doubt(found[0], seen, care):
        return found[0], None
    if found:
        others = found if care != CONFIRMED else _distinct([*found, *_first_group((usual,))])
        return _chosen(others, seen, choose), None
    why = " Out of this login's reach: %s." % "; ".join(map(str, seen.out_of_reach)) if seen.out_of_reach else ""
    hint = (
        "Give its folder as ui_home." if not why else "Log in as that user, or into that container; or give a folder."
    )
    raise RunFault("ui_home_not_found", "No ComfyUI was found on the instance.%s" % why, hint)


def _first_group(groups: Sequence[Sequence[Path]]) -> List[Path]:
    """The ComfyUIs of the first group that has any."""
    found = (_distinct([path for path in group if (path / "main.py").is_file()]) for group in groups)
    return next(filter(None, found), [])


def _is_in_doubt(path: Path, seen: Seen, care: str) -> bool:
    """Whether the only one that was found may be another than is meant."""
    runs = any(_is_of(each, path) for each in seen.running)
    return care == CONFIRMED or (care == SURE and not runs and bool(seen.out_of_reach))


def _likeliest(found: Sequence[Path], seen: Seen) -> List[Path]:
    """Of several that run: the one in the image's usual place, else the only one that is this login's own."""
    usual = [os.path.realpath(str(path)) for path in _usual_places()[:1]]
    in_place = [path for path in found if str(path) in usual]
    mine = {each.folder for each in seen.running if _uid(each) == os.geteuid()}
    own = [path for path in found if path in mine]
    return next((group for group in (in_place, own) if len(group) == 1), [])


def _uid(process: Process) -> Optional[int]:
    user = user_of_process(process.pid)
    return user.uid if user else None


def _chosen(found: Sequence[Path], seen: Seen, choose: Optional[Choose]) -> Path:
    answers = {str(number): _label(path, seen) for number, path in enumerate(found, 1)}
    if len(found) > 1:
        text = "The instance has several ComfyUI folders: %s." % ", ".join(map(str, found))
        asked, hint = (
            "The machine has several ComfyUIs. Which one do you use?",
            "Name one of them as ui_home (--ui-home).",
        )
    else:
        text = "ComfyUI's folder was not named, and %s may be another one than is meant." % answers["1"]
        asked, hint = "Into this ComfyUI? " + text, "If it is, name it as ui_home (--ui-home %s)." % found[0]
    if choose is not None and len(found) <= _MOST_ASKED:
        answer = choose(asked, answers)
        if answer is not None:
            return found[int(answer) - 1]
    raise RunFault("ui_home_ambiguous", text, hint)


def _label(path: Path, seen: Seen) -> str:
    running = [str(each) for each in seen.running if _is_of(each, path)]
    return "%s (%s)" % (path, "it runs, %s" % running[0] if running else "it does not run")


def _usual_places() -> List[Path]:
    """Where images and people have it, the likeliest first."""
    workspace = os.environ.get("WORKSPACE")
    own = [Path.home() / "ComfyUI", Path.home() / "comfy" / "ComfyUI"]
    own += [Path(workspace) / "ComfyUI"] if workspace else []
    first, *others = profiles.homes()
    return [Path(first), *own, *(found for pattern in others for found in Path("/").glob(pattern[1:]))]


def _is_of(process: Process, ui_home: Path) -> bool:
    return str(process.folder) == os.path.realpath(str(ui_home))


def _distinct(paths: Sequence[Path]) -> List[Path]:
    found: Dict[str, Path] = {}
    for path in paths:
        found.setdefault(os.path.realpath(str(path)), path)
    return list(found.values())
