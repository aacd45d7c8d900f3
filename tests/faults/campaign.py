"""The campaign: auction after auction, something goes wrong in each phase, and in the end everything must be right.

A seed chooses what, when and to whom.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.faults.checks import faults_after_a_phase, faults_at_the_end
from tests.faults.faults import (
    ChainStops,
    ClockOff,
    DatabaseLocked,
    DiskFull,
    Endpoint,
    Fault,
    FeesRise,
    Killed,
    Reorganisation,
    Twin,
)
from tests.faults.proxy import Ill
from tests.faults.world import BURIED, PATIENCE_SECONDS, World

MOST_DEPTH = 6
PHASE_SECONDS = 10.0
"""What a phase takes at most when nothing is wrong."""


@dataclass(frozen=True)
class Seen:
    """One fault and what came of it. seconds: from its end until the phase was done; below 0: it was done before.

    wrong: what did not hold then.
    """

    fault: str
    seconds: float
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Phase:
    """A part of an auction's life: what happens, and when it is done."""

    name: str
    happen: Callable[[], None]
    done: Callable[[], bool]


def phases(world: World, auction: int) -> Iterator[Phase]:
    """Of one auction, from bids to tokens."""
    schedule = world.schedule
    yield Phase("bids", lambda: world.bid(auction), lambda: world.has_bids(auction))
    closure = schedule.gate_closure(auction)
    yield Phase("clearing", lambda: world.travel(closure), lambda: world.cleared(auction))
    end = schedule.delivery_end(auction)
    yield Phase(
        "metering", lambda: (world.travel(end), world.report(auction))[0], lambda: world.priced(auction)
    )
    final = world.view(auction).imbalance_final_from or 0
    yield Phase("settlement", lambda: world.travel(final), lambda: world.done(auction))


def deck(world: World) -> list[Fault]:
    """Every fault, shuffled; at one oracle, at two or at all."""
    some = lambda: world.random.sample(world.operators, world.random.randint(1, 3))  # noqa: E731
    one = lambda: world.random.sample(world.operators, 1)  # noqa: E731
    faults: list[Fault] = [
        Endpoint(f"endpoint {ill}", some(), ill=ill) for ill in Ill if ill is not Ill.NOTHING
    ]
    faults += [
        Reorganisation(f"reorganisation of {blocks} blocks", world.operators, PHASE_SECONDS, blocks)
        for blocks in range(1, MOST_DEPTH + 1)
    ]
    faults += [Killed("kill -9", some(), world.random.uniform(0, 1)) for _ in range(6)]
    faults += [
        ClockOff("clock 2 minutes off", one()),
        DatabaseLocked("database locked by another process", some()),
        DiskFull("full disk", some()),
        Twin("oracle started twice", one(), 4.0),
        ChainStops("chain stops for an hour", world.operators),
        FeesRise("gas price spike", world.operators),
    ]
    world.random.shuffle(faults)
    return faults


def play(world: World, auctions: int, report: Callable[[str], None] = lambda line: None) -> list[Seen]:
    """So many auctions, a fault in every phase of each."""
    seen: list[Seen] = []
    faults: list[Fault] = []
    for _ in range(auctions):
        for phase in phases(world, world.next_auction()):
            faults = faults or deck(world)
            seen.append(strike(world, phase, faults.pop()))
            report(f"{phase.name}: {seen[-1]}")
    return seen


def strike(world: World, phase: Phase, fault: Fault) -> Seen:
    """The fault begins, the phase happens, the fault ends; then the phase has to come to its end."""
    fault.begin(world)
    try:
        phase.happen()
        time.sleep(world.random.uniform(0, 0.5))
        early = world.wait_for(phase.done, PATIENCE_SECONDS if fault.tolerated else fault.lasts)
    finally:
        fault.end(world)
    ended = time.monotonic()
    unharmed = early and phase.done()
    done = world.wait_for(phase.done)
    seconds = -1.0 if unharmed else time.monotonic() - ended
    world.chain.bury(
        BURIED
    )  # hours pass on the chain now: what is done must be out of reach of a reorganisation
    wrong = faults_after_a_phase(world)
    if fault.tolerated and not early:
        wrong.append(f"{phase.name} did not go on with an oracle spared")
    if not done:
        wrong.append(f"{phase.name} did not come to its end")
    return Seen(f"{fault.name}, at {len(fault.victims)} of 3", seconds, tuple(wrong))


def table(seen: list[Seen]) -> str:
    """A line per fault: how often, how often the market went on meanwhile, longest recovery, verdict."""
    lines = ["| fault | times | went on meanwhile | longest recovery, s | verdict |", "|---|---|---|---|---|"]
    for fault in sorted({one.fault for one in seen}):
        of = [one for one in seen if one.fault == fault]
        wrong = [text for one in of for text in one.wrong]
        went_on = sum(one.seconds < 0 for one in of)
        longest = max((one.seconds for one in of if one.seconds >= 0), default=0.0)
        lines.append(f"| {fault} | {len(of)} | {went_on} | {longest:.1f} | {'; '.join(wrong) or 'held'} |")
    return "\n".join(lines)


def verdict(world: World, seen: list[Seen]) -> list[str]:
    """Everything that went wrong; empty = the campaign is passed."""
    return [text for one in seen for text in one.wrong] + faults_at_the_end(world)
