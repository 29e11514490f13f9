"""The packs of one run whose requirements files say where their packages are, or how they are chosen.

They come when all other packs are known: what their locations may serve depends on what the others ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict, FrozenSet, List, Mapping, Optional, Sequence, Set

from app.runner.context import Context
from app.runner.requirements.lines import name_of
from app.runner.resolve.installer_settings import InstallerSettings
from app.runner.resolve.own_sources import OwnSources
from app.runner.resolve.plan import PackRequirements, write_lines
from app.runner.resolve.protection import constraints

if TYPE_CHECKING:
    from app.runner.resolve.pack_places import PackPlaces, PlacesServer

_MOST = 6


class PacksWithOwnSources:
    """One run's, for the planning thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: List[PackRequirements] = []
        self._names: Dict[str, FrozenSet[str]] = {}
        self._addresses: Dict[str, FrozenSet[str]] = {}
        self._server: Optional[PlacesServer] = None
        self._locations: List[PackPlaces] = []

    @classmethod
    def of(cls, context: Context) -> PacksWithOwnSources:
        """The run's, made at its first use."""
        known = context.shared.get(cls.__name__)
        if not isinstance(known, cls):
            known = context.shared[cls.__name__] = cls(context)
        return known

    def origins(self, packages: Mapping[str, str]) -> Set[str]:
        """Those of these packages (canonical names and versions) that only packs' own places have in that version."""
        return {
            name
            for locations in self._locations
            for name in locations.served
            if locations.origin(name, packages.get(name, ""))
        }

    @property
    def are_waiting(self) -> bool:
        """Whether packs wait for the others."""
        return bool(self._waiting)

    def sorted_out(self, items: Sequence[PackRequirements], *, all_came: bool) -> List[PackRequirements]:
        """Of these packs those that can be installed now; when all packs are there, also those that were kept back."""
        self._names.update({item.name: item.names for item in items})
        for item in items:
            self._addresses[item.name] = frozenset(place.address for place in item.asks.locations)
        ready = [item for item in items if not item.asks.are_any]
        self._waiting += [item for item in items if item.asks.are_any]
        for item in items:
            self._report(item)
        if not all_came:
            return ready
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            item.own = self._own(item)
        return [*ready, *waiting]

    def close(self) -> None:
        """The packs' places are not served any more."""
        if self._server:
            self._server.close()

    def _own(self, item: PackRequirements) -> OwnSources:
        file = item.file.with_suffix(".constraints") if item.asks.constraints else None
        if file is not None:
            write_lines(file, item.asks.constraints)
        if not item.asks.locations:
            return OwnSources(item.asks, item.names, None, file)
        from app.runner.resolve.pack_places import PlacesServer  # as long to load as much else together

        self._server = self._server or PlacesServer()
        settings = InstallerSettings.of(self._context)
        registry = [*settings.indexes, *settings.find_links]
        locations = self._server.add(item.asks, item.names, self._forbidden(item), registry)
        self._locations.append(locations)
        locations.read()
        for host, why in sorted(locations.dead.items()):
            text = "%s names packages on %s, which cannot be read: %s. They were looked for in the registry alone."
            self._context.warn("pack_source_unreachable", text % (item.name, host, why))
        return OwnSources(item.asks, item.names, locations, file)

    def _forbidden(self, item: PackRequirements) -> Set[str]:
        """What is installed, what ComfyUI asks for, and what another pack does that does not name the same place."""
        context = self._context
        own = {name_of(line) for line in constraints(context.packages, context.ui_home)}
        mine = {place.address for place in item.asks.locations}
        others = {
            name
            for pack, names in self._names.items()
            if pack != item.name and mine.isdisjoint(self._addresses.get(pack, ()))
            for name in names
        }
        return own | others | set(context.packages) | {name for name, new in context.changed.items() if new}

    def _report(self, item: PackRequirements) -> None:
        """What of its options is not followed."""
        if item.asks.told:
            more = " and %d more" % (len(item.asks.told) - _MOST) if len(item.asks.told) > _MOST else ""
            text = "%s's requirements have options that were not all followed: %s%s."
            self._context.warn("pack_options", text % (item.name, "; ".join(item.asks.told[:_MOST]), more))
