"""What a community owns and needs, in its owners' units: kW, kWh, hours, currency.

Every asset is checked when it is made, in a program as in a file; what is wrong raises pydantic's
`ValidationError`. A *series* is one number for every slot or one number for all of them; it is kept as a
read-only float array of shape [T] or []. Powers are means over the slot, at the asset's terminals.
Assets compare by identity.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.dataclasses import dataclass

from clearwatt.bids import Bid
from clearwatt.units import Tick, per_kwh

CONFIG = ConfigDict(extra="forbid", use_attribute_docstrings=True)
WH_PER_KWH = 1000
LARGEST = 1e9
"""No kW, kWh or price of a community is larger; a number that is, is a slip of the unit."""


# ---------------------------------------------------------------------------------------------------
# Numbers and series
# ---------------------------------------------------------------------------------------------------


def _number(value: Any) -> float:
    """A finite number; neither a bool nor a text that looks like one."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError("is not a number")
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"is not a number between -{LARGEST:.0e} and {LARGEST:.0e}")
    return float(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError("is not a whole number")
    return int(value)


def _name(value: str) -> str:
    if not value.strip():
        raise ValueError("is not a name")
    return value


def _array(value: Any, info: ValidationInfo) -> np.ndarray:
    """A series: a number, a sequence of numbers, or a column that the file's reader fetches."""
    if isinstance(value, dict):
        if not info.context:
            raise ValueError("is a column of a file, which only a scenario file can name")
        value = info.context.column(value)
    if isinstance(value, list | tuple):
        plain = set(map(type, value)) <= {int, float}
        value = value if plain else [_entry(entry, index) for index, entry in enumerate(value)]
    elif not isinstance(value, np.ndarray):
        value = _number(value)
    array = np.array(value, dtype=float)
    if array.ndim > 1:
        raise ValueError(f"has {array.ndim} dimensions; a series has one")
    if not (np.abs(array) <= LARGEST).all():
        raise ValueError(
            f"has {_first(array, ~(np.abs(array) <= LARGEST))}, no number of kW, kWh or currency"
        )
    array.flags.writeable = False
    return array


def _first(array: np.ndarray, wrong: np.ndarray) -> str:
    """The first wrong entry of a list, and where it stands."""
    index = int(np.flatnonzero(wrong)[0])
    return f"{array[index]:g} at entry {index}"


def _entry(value: Any, index: int) -> float:
    try:
        return _number(value)
    except ValueError as error:
        raise ValueError(f"has {value!r} at entry {index}, which {error}") from None


def _within(least: float, most: float = math.inf) -> Callable[[Any, ValidationInfo], np.ndarray]:
    def check(value: Any, info: ValidationInfo) -> np.ndarray:
        array = _array(value, info)
        wrong = (array < least) | (array > most)
        if wrong.any():
            allowed = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
            raise ValueError(
                f"has {_first(array, wrong)}, which is not {allowed}" if array.ndim else f"is not {allowed}"
            )
        return array

    return check


def _schema(**limits: float) -> WithJsonSchema:
    number = {"type": "number", **limits}
    column = {
        "type": "object",
        "properties": {
            "csv": {"type": "string", "description": "a file beside this one, its first line names columns"},
            "column": {"type": "string"},
        },
        "required": ["csv", "column"],
        "additionalProperties": False,
    }
    return WithJsonSchema({"anyOf": [number, {"type": "array", "items": number}, column]})


Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, Field(gt=0), BeforeValidator(_number)]
NotNegative = Annotated[float, Field(ge=0), BeforeValidator(_number)]
Share = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_number)]
Efficiency = Annotated[float, Field(gt=0, le=1), BeforeValidator(_number)]
Whole = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Name = Annotated[str, AfterValidator(_name)]
Series = Annotated[np.ndarray, PlainValidator(_array), _schema()]
NotNegativeSeries = Annotated[np.ndarray, PlainValidator(_within(0)), _schema(minimum=0)]
ShareSeries = Annotated[np.ndarray, PlainValidator(_within(0, 1)), _schema(minimum=0, maximum=1)]
record = dataclass(frozen=True, eq=False, kw_only=True, config=CONFIG)


@record
class Asset:
    """What all assets have."""

    name: Name
    """Unique among the scenario's assets."""
    zone: Whole = 0
    """Where it is connected; an asset behind a connection is in the connection's zone."""
    connection: Name | None = None
    """Name of the connection it sits behind; without one it meets the grid by itself, unlimited."""


# ---------------------------------------------------------------------------------------------------
# Generation
# ---------------------------------------------------------------------------------------------------


@record
class Generator(Asset):
    """A dispatchable generator. Running at p kW costs ``cost * p + curvature / 2 * p^2`` per hour."""

    kind: Literal["generator"] = "generator"
    max_kw: NotNegative
    min_kw: NotNegative = 0.0
    """Least power; with `on_off` the least power when on."""
    cost: Number = 0.0
    """Currency/kWh."""
    curvature: NotNegative = 0.0
    """By how much the marginal cost rises, currency/kWh per kW."""
    ramp_kw_per_hour: NotNegative | None = None
    """Largest change of power, up or down; without it there is none."""
    initial_kw: NotNegative | None = None
    """Power just before slot 0, for the ramp; without it the first slot is free."""
    on_off: bool = False
    """Whether it may also stand still below `min_kw`; needs integers."""

    def __post_init__(self) -> None:
        if self.min_kw > self.max_kw:
            raise ValueError(f"min_kw {self.min_kw:g} is above max_kw {self.max_kw:g}")
        if self.on_off and self.ramp_kw_per_hour is not None:
            raise ValueError("on_off and ramp_kw_per_hour together are not modelled")


@record
class _Renewable(Asset):
    available_kw: NotNegativeSeries
    """What it could inject."""
    curtailable: bool = True
    """Whether it may inject less."""
    cost: Number = 0.0
    """Currency per kWh injected."""


@record
class Solar(_Renewable):
    """Photovoltaic panels."""

    kind: Literal["solar"] = "solar"


@record
class Wind(_Renewable):
    """A wind turbine."""

    kind: Literal["wind"] = "wind"


@record
class Retailer(Asset):
    """Who sells to and buys from the community at its tariffs, up to limits."""

    kind: Literal["retailer"] = "retailer"
    import_price: Series
    """What a kWh from the retailer costs, currency/kWh."""
    export_price: Series
    """What the retailer pays for a kWh, currency/kWh; in no slot above the import price."""
    import_kw: NotNegativeSeries
    """The most it delivers."""
    export_kw: NotNegativeSeries
    """The most it takes."""

    def __post_init__(self) -> None:
        bought, sold = self.import_price, self.export_price
        if bought.ndim and sold.ndim and len(bought) != len(sold):
            raise ValueError(f"import_price has {len(bought)} entries and export_price {len(sold)}")
        wrong = np.flatnonzero((sold > bought).ravel())
        if len(wrong):
            where = f" in slot {wrong[0]}" if bought.ndim or sold.ndim else ""
            raise ValueError(f"the export price is above the import price{where}: money for nothing")


# ---------------------------------------------------------------------------------------------------
# Storage
# ---------------------------------------------------------------------------------------------------


@record
class Battery(Asset):
    """A battery: ``state[t] = kept * state[t-1] + charge_efficiency * charged - discharged / discharge_efficiency``
    with ``kept = (1 - self_discharge_per_hour) ** slot_hours``."""

    kind: Literal["battery"] = "battery"
    power_kw: NotNegative
    """Largest power, charging; discharging too unless `discharge_kw` is given."""
    discharge_kw: NotNegative | None = None
    capacity_kwh: NotNegative
    """Usable energy."""
    charge_efficiency: Efficiency = 1.0
    discharge_efficiency: Efficiency = 1.0
    start_kwh: NotNegative = 0.0
    """Energy before slot 0."""
    end_kwh: NotNegative | None = None
    """Least energy after the last slot; none: what is left is up to `end_value`."""
    end_value: Number = 0.0
    """What a kWh left after the last slot is worth, currency/kWh; counted in the welfare."""
    wear_cost: NotNegative = 0.0
    """Currency per kWh discharged, at the terminals."""
    self_discharge_per_hour: Share = 0.0
    """Share of the energy lost in an hour."""
    exclusive: bool = False
    """Whether charging and discharging in one slot is forbidden; needs integers. It only ever pays at
    negative prices."""

    def __post_init__(self) -> None:
        for name, energy in (("start_kwh", self.start_kwh), ("end_kwh", self.end_kwh)):
            if energy is not None and energy > self.capacity_kwh:
                raise ValueError(f"{name} {energy:g} is above capacity_kwh {self.capacity_kwh:g}")


@record
class ElectricVehicle(Asset):
    """A car that is plugged in from the start of `arrival_slot` to the start of `departure_slot`, once."""

    kind: Literal["electric_vehicle"] = "electric_vehicle"
    arrival_slot: Whole
    departure_slot: Whole
    """At most the number of slots; the car is gone in this slot."""
    needed_kwh: NotNegative
    """By how much its energy must have risen, at least, when it departs."""
    power_kw: NotNegative
    """Largest charging power."""
    efficiency: Efficiency = 1.0
    """Of charging."""
    discharge_kw: NotNegative = 0.0
    """Largest power back into the grid; 0: it only charges."""
    discharge_efficiency: Efficiency = 1.0
    wear_cost: NotNegative = 0.0
    """Currency per kWh discharged, at the terminals."""
    arrival_kwh: NotNegative = 0.0
    """Energy on arrival; what can be discharged before it is charged."""
    capacity_kwh: NotNegative | None = None
    """Usable energy; without it ``arrival_kwh + needed_kwh``."""

    def __post_init__(self) -> None:
        if self.departure_slot <= self.arrival_slot:
            raise ValueError(
                f"departure_slot {self.departure_slot} is not after arrival_slot {self.arrival_slot}"
            )
        leaving = self.arrival_kwh + self.needed_kwh
        if self.capacity_kwh is not None and leaving > self.capacity_kwh * (1 + 1e-12):
            raise ValueError(f"{leaving:g} kWh at departure do not fit capacity_kwh {self.capacity_kwh:g}")


# ---------------------------------------------------------------------------------------------------
# Demand
# ---------------------------------------------------------------------------------------------------


@record
class Load(Asset):
    """Inelastic demand; negative where a metering point injects."""

    kind: Literal["load"] = "load"
    demand_kw: Series


@record
class CurtailableLoad(Asset):
    """Demand that may go unserved. Being served q kW is worth ``value * q - curvature / 2 * q^2`` per hour."""

    kind: Literal["curtailable_load"] = "curtailable_load"
    demand_kw: NotNegativeSeries
    value: Series
    """Of the first kWh served, currency/kWh."""
    curvature: NotNegative = 0.0
    """By how much the value of a further kWh falls, currency/kWh per kW."""
    share: ShareSeries = Field(default=1.0, validate_default=True)
    """How much of the demand may go unserved; 1 is all of it."""


@record
class ShiftableLoad(Asset):
    """Demand for an amount of energy, at any power and with any breaks within a window."""

    kind: Literal["shiftable_load"] = "shiftable_load"
    energy_kwh: NotNegative
    max_kw: NotNegative
    earliest: Whole
    """First slot it may run in."""
    latest: Whole
    """Last slot it may run in."""

    def __post_init__(self) -> None:
        if self.latest < self.earliest:
            raise ValueError(f"latest slot {self.latest} is before earliest slot {self.earliest}")


@record
class LoadRun(Asset):
    """Demand that runs its course once started, like a washing machine's; needs integers."""

    kind: Literal["load_run"] = "load_run"
    profile_kw: NotNegativeSeries
    """Power in each slot of the run."""
    earliest: Whole
    """First slot it may start in."""
    latest: Whole
    """Last slot it may start in; the run must end within the scenario."""

    def __post_init__(self) -> None:
        if self.profile_kw.ndim != 1 or not len(self.profile_kw):
            raise ValueError("profile_kw is not a list with one power for each slot of the run")
        if self.latest < self.earliest:
            raise ValueError(f"latest slot {self.latest} is before earliest slot {self.earliest}")


@record
class ThermalLoad(Asset):
    """A heat pump or cooler that keeps a house within a band of temperature.

    The house is one capacity behind one resistance, RC dT/dt = ambient - T +- R * cop * power, held exactly
    over each slot: ``T[t] = a T[t-1] + (1 - a) (ambient[t] +- R cop power[t])`` with ``a = exp(-h / RC)``.
    """

    kind: Literal["thermal_load"] = "thermal_load"
    mode: Literal["heating", "cooling"] = "heating"
    max_kw: NotNegative
    """Largest electrical power."""
    cop: Positive
    """Heat moved per electrical energy."""
    resistance: Positive
    """Between house and ambient, K/kW."""
    capacitance: Positive
    """Of the house, kWh/K."""
    start: Number
    """Temperature before slot 0, degrees Celsius."""
    lowest: Series
    """Of the band at the end of each slot, degrees Celsius."""
    highest: Series
    """Of the band at the end of each slot, degrees Celsius."""
    ambient: Series
    """Outdoor temperature, degrees Celsius."""

    def __post_init__(self) -> None:
        low, high = self.lowest, self.highest
        if low.ndim and high.ndim and len(low) != len(high):
            raise ValueError(f"lowest has {len(low)} entries and highest {len(high)}")
        if (low > high).any():
            raise ValueError("lowest is above highest")


# ---------------------------------------------------------------------------------------------------
# Bids and connections
# ---------------------------------------------------------------------------------------------------


class OfferStep(NamedTuple):
    """One step of a bid: at `price` or better, up to `quantity_kwh` in the slot; positive sells, negative buys."""

    slot: Whole
    price: Number
    quantity_kwh: Number


@record
class StepBid(Asset):
    """Somebody else's bid, taken as it stands: steps over any slots."""

    kind: Literal["step_bid"] = "step_bid"
    steps: tuple[OfferStep, ...]
    """``[slot, currency/kWh, kWh]`` each."""


@record
class Connection:
    """Where a member's assets meet the grid together, and what it carries in each direction."""

    name: Name
    zone: Whole = 0
    import_kw: NotNegativeSeries | None = None
    """The most it can draw; without it there is no limit."""
    export_kw: NotNegativeSeries | None = None
    """The most it can inject; without it there is no limit."""


def step_bid(bid: Bid, *, name: str | None = None, connection: str | None = None) -> StepBid:
    """A market's bid (ticks, Wh) as an asset; `name` is the member's address unless given."""
    steps = tuple(
        OfferStep(step.slot, per_kwh(Tick(step.price)), step.quantity / WH_PER_KWH) for step in bid.steps
    )
    return StepBid(name=name or bid.member, zone=bid.zone, connection=connection, steps=steps)
