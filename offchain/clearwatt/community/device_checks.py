"""What must hold of any battery and any car after a day, computed anew from the energy at their meters."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from clearwatt.community.devices import MILLI, DeviceDay, level_after, per_slot
from clearwatt.community.outcome import Check


def device_checks(devices: Sequence[DeviceDay]) -> tuple[Check, ...]:
    """Of batteries and of cars, where there are any."""
    batteries = [device for device in devices if device.kind == "battery"]
    cars = [device for device in devices if device.kind == "car"]
    return (*(_battery_checks(batteries) if batteries else ()), *(_car_checks(cars) if cars else ()))


def _battery_checks(batteries: list[DeviceDay]) -> tuple[Check, ...]:
    """Levels computed anew from what the meters' energy means for a battery of this size."""
    astray = outside = 0
    for battery in batteries:
        levels = list(accumulate(battery.delivered.tolist(), level_after, initial=int(battery.levels[0])))
        astray += levels != battery.levels.tolist()
        outside += not 0 <= min(levels) <= max(levels) <= battery.energy_wh * MILLI
        outside += int(np.abs(battery.delivered).max()) > per_slot(battery.power_w)
    unsettled = sum(int(np.abs(battery.delivered - battery.contracted).sum()) for battery in batteries)
    emptier = sum(int(battery.levels[-1]) < int(battery.levels[0]) for battery in batteries)
    moved = sum(int(np.abs(battery.delivered).sum()) for battery in batteries)
    return (
        Check(
            "Batteries did what was settled", unsettled == 0, f"{moved} Wh moved, {unsettled} Wh otherwise"
        ),
        Check(
            "Batteries stayed within their power and their energy",
            astray == 0 and outside == 0,
            f"{len(batteries)} batteries, {outside} outside, {astray} whose level does not follow from their energy",
        ),
        Check(
            "Batteries ended the day no emptier than they began it",
            emptier == 0,
            f"{emptier} of {len(batteries)} emptier",
        ),
    )


def _car_checks(cars: list[DeviceDay]) -> tuple[Check, ...]:
    visits = [(car, session) for car in cars for session in car.sessions]
    lacking = sum(
        int(car.delivered[session.arrival : session.departure].sum()) != -session.energy_wh
        for car, session in visits
    )
    needed = sum(session.energy_wh for _, session in visits)
    drawn = -sum(int(car.delivered.sum()) for car in cars)
    beyond = sum(bool((-car.delivered > per_slot(car.power_w)).any()) for car in cars)
    return (
        Check(
            "Cars left with the energy they came for",
            lacking == 0 and drawn == needed and beyond == 0,
            f"{len(visits)} visits, {lacking} not as needed; {needed} Wh needed, {drawn} Wh charged",
        ),
    )
