"""What a store or a connection could do at all, whatever the rest of the program does."""

import numpy as np

from clearwatt.dispatch.program import Program, Run
from clearwatt.dispatch.sparse import incidence


def states(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest state [B, T] each store gets to by its own controls and within its own bounds so far.

    Where a bound cannot be kept the state goes as near to it as it can, and on from there: least > high or
    most < low say so, and by how much.
    """
    stores = program.stores
    least, most = np.empty_like(stores.low), np.empty_like(stores.high)
    low = high = stores.initial
    for slot in range(program.slots):
        fall = stores.down_gain * stores.down_high[:, slot] - stores.drift[:, slot]
        rise = stores.up_gain * stores.up_high[:, slot] + stores.drift[:, slot]
        least[:, slot] = stores.retention * low - fall
        most[:, slot] = stores.retention * high + rise
        low = np.clip(stores.low[:, slot], least[:, slot], most[:, slot])
        high = np.clip(stores.high[:, slot], least[:, slot], most[:, slot])
    return least, most


def within(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """The stores' bounds [B, T] with those that nobody gets to drawn in to what can be reached: always finite."""
    least, most = states(program)
    return np.maximum(program.stores.low, least), np.minimum(program.stores.high, most)


def nets(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest injection [M, T] of each connection, slot by slot and caps disregarded."""
    offers, stores, fixed = program.offers, program.stores, program.connections.fixed
    of_offers = incidence(offers.connection, len(fixed))
    of_stores = incidence(stores.connection, len(fixed))
    state_low, state_high = within(program)
    by_state = stores.state_injects[:, None]
    store_low = np.where(by_state, state_low, -stores.up_high)
    store_high = np.where(by_state, state_high, stores.down_high)
    low = np.where(offers.on_off[:, None], np.minimum(offers.low, 0), offers.low)
    high = np.where(offers.on_off[:, None], np.maximum(offers.high, 0), offers.high)
    least = fixed + of_offers @ low + of_stores @ store_low
    most = fixed + of_offers @ high + of_stores @ store_high
    for run in program.runs:
        courses = run_courses(run, program.slots)
        least[run.connection] -= courses.max(axis=0)
        most[run.connection] -= courses.min(axis=0)
    return least, most


def run_courses(run: Run, slots: int) -> np.ndarray:
    """[starts, T] what the run withdraws for each slot it may start in."""
    courses = np.zeros((run.last - run.first + 1, slots))
    for row, start in enumerate(range(run.first, run.last + 1)):
        courses[row, start : start + len(run.profile)] = run.profile
    return courses
