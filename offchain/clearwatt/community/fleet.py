"""A community's devices over a day: their offers to every auction, and what comes of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from clearwatt.bids import Bid, Step
from clearwatt.community.agents import member_steps, retailer_steps
from clearwatt.community.devices import BatteryAtWork, CarAtWork, Device, DeviceDay, Known, devices_of
from clearwatt.community.planner import Planner, offers
from clearwatt.community.scenario import SLOTS_PER_DAY, Community
from clearwatt.community.tariff import Tariff
from clearwatt.forecast.seasonal import likely_range

NOBODY = ""


class Bundle(NamedTuple):
    """A member's bid for one auction: the household's steps, and its devices'.

    owners: the device behind each step, or `NOBODY` for the household.
    """

    steps: tuple[Step, ...]
    owners: tuple[str, ...]


def bundle(household: Sequence[Step], devices: Mapping[str, Sequence[Step]]) -> Bundle:
    """One bid of the household's steps and its devices', slots ascending."""
    owned = [(step, NOBODY) for step in household]
    owned += [(step, name) for name, steps in devices.items() for step in steps]
    owned.sort(key=lambda pair: pair[0].slot)
    return Bundle(tuple(step for step, _ in owned), tuple(owner for _, owner in owned))


def contracted(bid: Bundle, fills: Sequence[int], slots: int) -> dict[str, np.ndarray]:
    """What a bid's fills mean for each device with a step in it: int64[slots] Wh, positive = injection."""
    found = {name: np.zeros(slots, dtype=np.int64) for name in bid.owners if name != NOBODY}
    for step, owner, fill in zip(bid.steps, bid.owners, fills, strict=True):
        if owner != NOBODY:
            found[owner][step.slot] += fill
    return found


class Fleet:
    """The devices of one day, from its first auction to its last."""

    def __init__(self, devices: Sequence[Device], planner: Planner) -> None:
        self.devices = tuple(devices)
        self.planner = planner
        nothing = {device.name: np.zeros(SLOTS_PER_DAY, dtype=np.int64) for device in devices}
        self._planned, self._contracted, self._delivered = (
            {name: series.copy() for name, series in nothing.items()} for _ in range(3)
        )

    def offers(self, known: Known, slots: int) -> dict[int, dict[str, tuple[Step, ...]]]:
        """Steps for the auction of `slots` slots from `known.first` on, by member's row and device."""
        plans = self.planner.plan(known)
        for name, plan in plans.items():
            self._planned[name][known.first : known.first + slots] = plan.energy[:slots]
        steps = offers(self.devices, plans, known, slots)
        by_row: dict[int, dict[str, tuple[Step, ...]]] = {}
        for device in self.devices:
            if device.name in steps:
                by_row.setdefault(device.row, {})[device.name] = steps[device.name]
        return by_row

    def deliver(self, first: int, slots: int, agreed: Mapping[str, np.ndarray]) -> None:
        """The auction is cleared: what each device (those without a step: nothing) has agreed to do, and does."""
        span = slice(first, first + slots)
        for device in self.devices:
            energy = agreed.get(device.name, np.zeros(slots, dtype=np.int64))
            self._contracted[device.name][span] = energy
            self._delivered[device.name][span] = device.deliver(energy.tolist())

    def at_meters(self, members: int, kind: str = "") -> np.ndarray:
        """What the devices, or one kind of them, have added to their meters so far: int64[members, 96] Wh."""
        total = np.zeros((members, SLOTS_PER_DAY), dtype=np.int64)
        for device in self.devices:
            if kind in ("", device.kind):
                total[device.row] += self._delivered[device.name]
        return total

    def days(self, community: Community) -> tuple[DeviceDay, ...]:
        """What each device has done."""
        return tuple(self._day(device, community.members[device.row].name) for device in self.devices)

    def _day(self, device: Device, member: str) -> DeviceDay:
        battery = device.battery if isinstance(device, BatteryAtWork) else None
        return DeviceDay(
            name=device.name,
            member=member,
            zone=device.zone,
            kind=device.kind,
            power_w=battery.power_w if battery else device.power_w,
            energy_wh=battery.energy_wh if battery else 0,
            planned=self._planned[device.name],
            contracted=self._contracted[device.name],
            delivered=self._delivered[device.name],
            levels=np.array(device.levels if isinstance(device, BatteryAtWork) else [], dtype=np.int64),
            sessions=device.sessions if isinstance(device, CarAtWork) else (),
        )


class Outlook(NamedTuple):
    """What every meter is expected to read without its devices: int64[members, 96] Wh, low <= high."""

    low: np.ndarray
    high: np.ndarray


def outlook(community: Community, day: int, flexible: bool = True) -> Outlook:
    """By the seven days before; with the cars' charging as measured if nothing is flexible."""
    history = community.history_without_cars(day) if flexible else community.history(day)
    return Outlook(*likely_range(history))


def make_fleet(
    community: Community, day: int, tariff: Tariff, expected: Outlook, bounds: tuple[int, int]
) -> Fleet:
    """The day's devices, with a planner that foresees what everybody else will bid."""
    devices = devices_of(community, day)
    others = [Bid("retailer", 0, retailer_steps(tariff, community.peak_wh, community.network_fee))]
    for member, low, high in zip(
        community.members, expected.low.tolist(), expected.high.tolist(), strict=True
    ):
        others.append(Bid(member.name, member.zone, member_steps(low, high, tariff)))
    return Fleet(devices, Planner(community.grid, devices, others, *bounds))
