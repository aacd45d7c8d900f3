"""What is to be dispatched: slots, grid, connections and assets. `files` reads it from JSON and YAML."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from pydantic import Field

from clearwatt.dispatch.assets import (
    Asset,
    Connection,
    ElectricVehicle,
    LoadRun,
    Name,
    NotNegativeSeries,
    Share,
    ShiftableLoad,
    StepBid,
    Whole,
    record,
)
from clearwatt.dispatch.errors import DispatchError
from clearwatt.documents import shown

MAX_SLOTS = 10_000


class ScenarioError(DispatchError):
    """A scenario whose parts do not fit together."""


@record
class ZoneSpec:
    """A zone of the grid and the line to its parent. Zone 0 has neither parent nor line."""

    parent: Whole | None
    """A zone listed earlier; null for zone 0."""
    name: Name | None = None
    """For people."""
    export_kw: NotNegativeSeries | None = None
    """Largest flow into the line at the zone's end; without it there is no limit."""
    import_kw: NotNegativeSeries | None = None
    """Largest flow into the line at the parent's end; without it there is no limit."""
    fee: NotNegativeSeries = Field(default=0.0, validate_default=True)
    """Currency per kWh that enters the line, in either direction."""
    loss: Share = 0.0
    """Share of what enters the line that does not arrive."""


@record
class GridSpec:
    """The tree of zones, numbered in their order."""

    zones: tuple[ZoneSpec, ...] = Field(default_factory=lambda: (ZoneSpec(parent=None),))
    """Each after its parent."""

    def __post_init__(self) -> None:
        if not self.zones:
            raise ValueError("a grid has at least zone 0")
        root = self.zones[0]
        if root.parent is not None:
            raise ValueError("zone 0 is the connection to the upstream grid; its parent is null")
        if root.export_kw is not None or root.import_kw is not None or root.fee.any() or root.loss:
            raise ValueError("zone 0 has no line to a parent, so it can have no limit, fee or loss")
        for number, zone in enumerate(self.zones[1:], start=1):
            if zone.parent is None or not 0 <= zone.parent < number:
                raise ValueError(
                    f"zone {number} has parent {shown(zone.parent)}, not one of the zones before it"
                )

    def zone_name(self, zone: int) -> str:
        """What people call the zone."""
        return self.zones[zone].name or f"zone {zone}"


@dataclass(frozen=True, eq=False)
class Scenario:
    """A dispatch problem in its owners' units.

    slots: T. slot_hours: length of a slot. currency: what money is called.
    Names are unique among assets and among connections. Raises `ScenarioError` where the parts do not fit.
    """

    slots: int
    slot_hours: float
    grid: GridSpec = field(default_factory=GridSpec)
    connections: tuple[Connection, ...] = ()
    assets: tuple[Asset, ...] = ()
    currency: str = "EUR"

    def __post_init__(self) -> None:
        if not 1 <= self.slots <= MAX_SLOTS:
            raise ScenarioError(f"slots {self.slots} is not between 1 and {MAX_SLOTS}")
        if not 0 < self.slot_hours <= 24:
            raise ScenarioError(f"slot_hours {self.slot_hours:g} is not above 0 and at most 24")
        for number, zone in enumerate(self.grid.zones):
            _check_lengths(zone, f"zone {number}", self.slots)
        _refuse_twins(self.connections, "connections")
        _refuse_twins(self.assets, "assets")
        for connection in self.connections:
            self._check_connection(connection)
        for asset in self.assets:
            self._check_asset(asset)

    @property
    def zones(self) -> int:
        """Z."""
        return len(self.grid.zones)

    @cached_property
    def connection_index(self) -> dict[str, int]:
        """Where each named connection stands in `connections`."""
        return {connection.name: index for index, connection in enumerate(self.connections)}

    def zone_of(self, asset: Asset) -> int:
        """Where the asset meets the grid."""
        if asset.connection is None:
            return asset.zone
        return self.connections[self.connection_index[asset.connection]].zone

    def _check_connection(self, connection: Connection) -> None:
        place = f"connection {shown(connection.name)}"
        if connection.zone >= self.zones:
            raise ScenarioError(
                f"{place}: zone {connection.zone} is not one of the grid's {_count(self.zones)}"
            )
        _check_lengths(connection, place, self.slots)

    def _check_asset(self, asset: Asset) -> None:
        place = f"asset {shown(asset.name)}"
        if asset.zone >= self.zones:
            raise ScenarioError(f"{place}: zone {asset.zone} is not one of the grid's {_count(self.zones)}")
        if asset.connection is not None:
            self._check_behind(asset, place)
        _check_lengths(asset, place, self.slots)
        _check_slots(asset, place, self.slots)

    def _check_behind(self, asset: Asset, place: str) -> None:
        if asset.connection not in self.connection_index:
            raise ScenarioError(f"{place}: there is no connection {shown(asset.connection)}")
        zone = self.zone_of(asset)
        if asset.zone not in (0, zone):
            raise ScenarioError(
                f"{place}: it is in zone {asset.zone}, but its connection {shown(asset.connection)} is in zone {zone}"
            )


def _count(zones: int) -> str:
    return f"{zones} zones" if zones > 1 else "one zone, 0"


def _refuse_twins(parts: Iterable[Asset | Connection], what: str) -> None:
    seen: set[str] = set()
    for part in parts:
        if part.name in seen:
            raise ScenarioError(f"two {what} have the name {shown(part.name)}")
        seen.add(part.name)


SERIES_OF_OTHER_LENGTH = {"profile_kw"}


def _check_lengths(part: Asset | Connection | ZoneSpec, place: str, slots: int) -> None:
    """Every series has one entry per slot, or is one number."""
    for name, value in vars(part).items():
        if not isinstance(value, np.ndarray) or name in SERIES_OF_OTHER_LENGTH:
            continue
        if value.ndim and len(value) != slots:
            raise ScenarioError(f"{place}: {name} has {len(value)} entries, but there are {slots} slots")


def _check_slots(asset: Asset, place: str, slots: int) -> None:
    """What happens in a slot happens in one of the scenario's."""
    match asset:
        case ElectricVehicle():
            last = {"arrival_slot": asset.arrival_slot, "departure_slot": asset.departure_slot - 1}
        case ShiftableLoad():
            last = {"latest": asset.latest}
        case LoadRun():
            last = {"latest": asset.latest, "latest + the run": asset.latest + len(asset.profile_kw) - 1}
        case StepBid():
            last = {f"steps[{index}]: slot": step.slot for index, step in enumerate(asset.steps)}
        case _:
            return
    for name, slot in last.items():
        if slot >= slots:
            raise ScenarioError(f"{place}: {name} goes beyond the last slot, {slots - 1}")
