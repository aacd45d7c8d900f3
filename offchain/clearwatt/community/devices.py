"""Batteries and cars behind members' meters: what they can promise, and what they then do.

A battery does exactly what its member sold or bought, so it may only offer what it can deliver whatever part of the
offers is taken: it sells no more than it has, and buys no more than it has room for, before the auction's first slot.
A car buys likewise no more than it needs, but it has the last word at the meter: where waiting any longer would mean
leaving half charged, it charges, and its member pays for the imbalance.

Energy is counted in Wh at the meter, positive = injection, and in thousandths of a Wh inside a battery.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from clearwatt.community.scenario import SLOT_SECONDS, SLOTS_PER_DAY, Battery, Community, Session
from clearwatt.dispatch.assets import Asset, ElectricVehicle
from clearwatt.dispatch.assets import Battery as Storage

EFFICIENCY_PERCENT = 95
"""Of charging and of discharging, each: assumed, the data give power and energy only."""
WEAR_PER_KWH = 0.02
"""What a kWh discharged wears off the battery, currency: assumed."""
MILLI = 1000
MILLI_PER_KWH = 1_000_000
SLACK = 10 * MILLI
"""Thousandths of a Wh at either end of a battery that plans leave alone, so that whole Wh in every slot fit in."""


def charged(level: int, energy: int) -> int:
    """The level after drawing `energy` Wh >= 0 at the meter."""
    return level + energy * MILLI * EFFICIENCY_PERCENT // 100


def discharged(level: int, energy: int) -> int:
    """The level after injecting `energy` Wh >= 0 at the meter, rounded down."""
    return level - -(-energy * MILLI * 100 // EFFICIENCY_PERCENT)


def level_after(level: int, energy: int) -> int:
    """The level after a slot with this net injection."""
    return discharged(level, energy) if energy > 0 else charged(level, -energy)


def per_slot(power_w: int) -> int:
    """The most energy of a slot, Wh."""
    return power_w * SLOT_SECONDS // 3600


class Known(NamedTuple):
    """What an agent knows when it bids: the auction's first slot, and the slot in which it signs its bid."""

    first: int
    now: int


@dataclass
class BatteryAtWork:
    """A member's battery during a day. It starts half full, and plans to end no emptier than it began.

    row: its member's in the community's arrays. level: now. levels: at the start of every slot so far, and now.
    """

    name: str
    row: int
    zone: int
    battery: Battery
    level: int = field(init=False)
    levels: list[int] = field(init=False)
    kind: Literal["battery"] = "battery"

    def __post_init__(self) -> None:
        self.level = self.capacity // 2
        self.levels = [self.level]

    @property
    def capacity(self) -> int:
        """Usable energy, thousandths of a Wh."""
        return self.battery.energy_wh * MILLI

    def asset(self, known: Known) -> Asset:
        """The battery as the optimiser sees it from the auction's first slot to midnight."""
        usable = max(self.capacity - 2 * SLACK, 0)
        start = min(max(self.level - SLACK, 0), usable)
        reachable = charged(start, per_slot(self.battery.power_w) * (SLOTS_PER_DAY - known.first)) - MILLI
        end = min(self.levels[0], usable, max(reachable, start))
        return Storage(
            name=self.name,
            zone=self.zone,
            power_kw=self.battery.power_w / 1000,
            capacity_kwh=usable / MILLI_PER_KWH,
            charge_efficiency=EFFICIENCY_PERCENT / 100,
            discharge_efficiency=EFFICIENCY_PERCENT / 100,
            start_kwh=start / MILLI_PER_KWH,
            end_kwh=end / MILLI_PER_KWH,
            wear_cost=WEAR_PER_KWH,
        )

    def promise(self, planned: Sequence[int], known: Known) -> list[int]:
        """As much of a plan as can be offered: whatever part of it is taken, the level stays within its limits."""
        most, lowest, highest = per_slot(self.battery.power_w), self.level, self.level
        offers = []
        for energy in planned:
            if energy > 0:
                offer = min(energy, most, lowest * EFFICIENCY_PERCENT // (100 * MILLI))
                lowest = discharged(lowest, offer)
            else:
                room = (self.capacity - highest) * 100 // (EFFICIENCY_PERCENT * MILLI)
                offer = -min(-energy, most, room)
                highest = charged(highest, -offer)
            offers.append(offer)
        return offers

    def deliver(self, contracted: Sequence[int]) -> list[int]:
        """What it does in the coming slots: what was agreed."""
        for energy in contracted:
            self.level = level_after(self.level, energy)
            self.levels.append(self.level)
        return list(contracted)


@dataclass
class CarAtWork:
    """A member's car during a day. Nobody but its driver knows when it comes, until it is plugged in.

    delivered: what it did in every slot so far, Wh <= 0.
    """

    name: str
    row: int
    zone: int
    power_w: int
    sessions: tuple[Session, ...]
    delivered: list[int] = field(default_factory=list)
    kind: Literal["car"] = "car"

    def asset(self, known: Known) -> Asset | None:
        """The car as the optimiser sees it; None where there is none to plan for."""
        session = self._waiting(known)
        if session is None:
            return None
        return ElectricVehicle(
            name=self.name,
            zone=self.zone,
            arrival_slot=0,
            departure_slot=session.departure - known.first,
            needed_kwh=self.missing(session) / 1000,
            power_kw=self.power_w / 1000,
        )

    def promise(self, planned: Sequence[int], known: Known) -> list[int]:
        """As much of a plan as can be offered: never more than the car lacks, and never after it has left."""
        session = self._waiting(known)
        missing = self.missing(session) if session else 0
        offers = []
        for slot, energy in enumerate(planned, start=known.first):
            plugged_in = session is not None and slot < session.departure
            offer = min(-min(energy, 0), per_slot(self.power_w), missing) if plugged_in else 0
            missing -= offer
            offers.append(-offer)
        return offers

    def deliver(self, contracted: Sequence[int]) -> list[int]:
        """What it does in the coming slots: what was agreed, and what can't wait any longer."""
        start = len(self.delivered)
        for energy in contracted:
            self.delivered.append(-self._drawn(len(self.delivered), -energy))
        return self.delivered[start:]

    def missing(self, session: Session) -> int:
        """What a visit still lacks, Wh."""
        return session.energy_wh + sum(self.delivered[session.arrival : session.departure])

    def _drawn(self, slot: int, agreed: int) -> int:
        session = next((visit for visit in self.sessions if visit.arrival <= slot < visit.departure), None)
        if session is None:
            return 0
        missing, most = self.missing(session), per_slot(self.power_w)
        urgent = missing - most * (session.departure - slot - 1)
        return min(max(agreed, urgent), missing)

    def _waiting(self, known: Known) -> Session | None:
        """The visit that has begun by now and goes on in the auction, unless the car is charged."""
        for session in self.sessions:
            if session.arrival <= known.now and session.departure > known.first and self.missing(session):
                return session
        return None


Device = BatteryAtWork | CarAtWork


def devices_of(community: Community, day: int) -> tuple[Device, ...]:
    """All batteries and cars of a day, by member."""
    sessions = community.sessions(day)
    devices: list[Device] = []
    for row, member in enumerate(community.members):
        if member.battery:
            devices.append(BatteryAtWork(f"battery of {member.name}", row, member.zone, member.battery))
        if member.car_w:
            devices.append(CarAtWork(f"car of {member.name}", row, member.zone, member.car_w, sessions[row]))
    return tuple(devices)


@dataclass(frozen=True)
class DeviceDay:
    """What a battery or car did in a day of S slots; energy at the meter in Wh, positive = injection.

    member: its member's name. power_w: of the battery, or of the charging point. energy_wh: a battery's, else 0.
    planned: int64[S], by the plan made before each auction. contracted: int64[S], of it sold and bought.
    delivered: int64[S]. levels: int64[S + 1], a battery's at the slots' boundaries, thousandths of a Wh; else empty.
    sessions: a car's visits.
    """

    name: str
    member: str
    zone: int
    kind: Literal["battery", "car"]
    power_w: int
    energy_wh: int
    planned: np.ndarray
    contracted: np.ndarray
    delivered: np.ndarray
    levels: np.ndarray
    sessions: tuple[Session, ...]
