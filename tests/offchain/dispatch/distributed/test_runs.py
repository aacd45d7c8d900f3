"""Whole runs: distributed equals central, whoever is slow, gone or lying; in this process and in others."""

import logging
import multiprocessing
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from clearwatt.dispatch import structured
from clearwatt.dispatch.distributed import admm, dual_gradient, price_newton
from clearwatt.dispatch.distributed.agent import Agent
from clearwatt.dispatch.distributed.community import Community, MemberProgram, restrict, split
from clearwatt.dispatch.distributed.coordinator import Broken, Coordinator, Rules
from clearwatt.dispatch.distributed.messages import Message, decode
from clearwatt.dispatch.distributed.secure_sum import to_words
from clearwatt.dispatch.distributed.transport import Handler, InProcess, Processes
from clearwatt.dispatch.errors import DispatchError, NotConverged
from clearwatt.dispatch.program import Program, Solution
from tests.offchain.dispatch.by_hand import connection, offer, program
from tests.offchain.dispatch.distributed.communities import community, one_slot, shared_roof
from tests.offchain.dispatch.random_programs import random_program

OPEN = {"masked": False}


def close_to(found: price_newton.Result, central: Solution, *, tolerance: float = 2e-6) -> bool:
    return abs(found.cost - central.objective) <= tolerance * (1 + abs(central.objective))


def newton(parts: Community, **rules: Any) -> price_newton.Result:
    with price_newton.run(parts, rules=Rules(**rules)) as coordinator:
        return price_newton.solve(parts, coordinator)


def without(whole: Program, gone: int) -> Program:
    """The program without one connection."""
    return restrict(whole, np.array([row for row in range(len(whole.connections.zone)) if row != gone]))


@pytest.mark.parametrize("seed", range(16))
def test_price_newton__random_program__cost_and_balance_of_the_central_optimum(seed: int) -> None:
    whole = random_program(seed, slots=1 + seed % 6, roomy=seed % 2 == 0)
    central = structured.solve(whole)
    free = np.flatnonzero(~whole.connections.capped)
    public = np.setdiff1d(free, whole.stores.connection)
    found = newton(split(whole, public=list(public)), **OPEN)
    assert close_to(found, central)
    assert found.rounds <= 35
    assert not found.faults


@pytest.mark.parametrize("zones", [1, 3])
def test_price_newton__under_masks__central_prices_and_a_balance(zones: int) -> None:
    whole = shared_roof(6 * max(1, zones - 1), 12, zones=zones)
    central = structured.solve(whole)
    found = newton(split(whole, public=[0]))
    assert close_to(found, central)
    assert found.rounds <= 35
    assert np.allclose(found.zone_price, central.zone_price, atol=1e-4)
    assert np.abs(found.balance).max() < 1e-5
    assert (found.exports <= whole.lines.export_limit).all()
    assert (found.imports <= whole.lines.import_limit).all()


def test_price_newton__members_in_other_processes__same_as_in_this_one_and_none_is_left() -> None:
    parts = community(8, 12)
    here = newton(parts)
    with price_newton.run(parts, processes=2) as coordinator:
        processes = multiprocessing.active_children()
        there = price_newton.solve(parts, coordinator)
    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)
    assert there.rounds == here.rounds
    assert np.allclose(there.zone_price, here.zone_price, atol=1e-8)


def test_price_newton__members_schedules__within_their_limits_and_in_balance() -> None:
    whole = shared_roof(6, 12)
    parts = split(whole, public=[0])
    agents = {own.name: Agent(own) for own in parts.members}
    coordinator = Coordinator(InProcess(agents), {own.name: own.zone for own in parts.members})
    found = price_newton.solve(parts, coordinator)
    total = found.injection.sum(axis=0)
    for own in parts.members:
        injection, up, down, state = agents[own.name].barrier.schedule()
        offers, stores = own.program.offers, own.program.stores
        assert (injection >= offers.low - 1e-8).all()
        assert (injection <= offers.high + 1e-8).all()
        before = np.concatenate([stores.initial[:, None], state[:, :-1]], axis=1)
        change = stores.up_gain[:, None] * up - stores.down_gain[:, None] * down
        assert np.allclose(state, before + change, atol=1e-6)
        assert (state >= stores.low - 1e-6).all()
        total = (
            total
            + own.program.connections.fixed.sum(axis=0)
            + injection.sum(axis=0)
            + (down - up).sum(axis=0)
        )
    assert np.abs(total).max() < 1e-4


def test_price_newton__more_load_than_supply__not_converged_and_nobody_blamed() -> None:
    loads = [connection(low=-9, high=9, load=load) for load in (3.0, 4.0, 5.0)]
    parts = split(program(2, connections=[connection(), *loads], offers=[offer(0, 10.0, 0.3)]), public=[0])
    with price_newton.run(parts) as coordinator:
        with pytest.raises(NotConverged):
            price_newton.solve(parts, coordinator)
        assert not coordinator.faults


class Recorded(InProcess):
    """Keeps all that the coordinator gets to see."""

    def __init__(self, members: dict[str, Handler]) -> None:
        super().__init__(members)
        self.seen: list[tuple[str, bytes]] = []

    def receive(self, timeout: float) -> tuple[str, bytes] | None:
        received = super().receive(timeout)
        if received is not None:
            self.seen.append(received)
        return received


class Told(Agent):
    """A member that notes what it would have said openly."""

    def __init__(self, own: MemberProgram) -> None:
        super().__init__(own)
        self.told: list[np.ndarray] = []
        honest = self._tasks["newton"]

        def noted(message: Message) -> np.ndarray:
            self.told.append(honest(message))
            return self.told[-1]

        self._tasks["newton"] = noted


def test_price_newton__under_masks__coordinator_sees_no_members_numbers() -> None:
    parts = community(5, 4)
    agents = {own.name: Told(own) for own in parts.members}
    transport = Recorded(dict(agents))
    coordinator = Coordinator(transport, dict.fromkeys(agents, 0))
    price_newton.solve(parts, coordinator)
    answers: dict[str, list[np.ndarray]] = {name: [] for name in agents}
    for name, data in transport.seen:
        message = decode(data)
        assert message.kind in ("member", "ready", "answer", "seeds")
        if message.kind == "answer":
            assert message.array is not None
            answers[name].append(message.array)
        else:
            assert message.array is None
    for name, agent in agents.items():
        for said, sent in zip(agent.told, answers[name], strict=True):
            assert not (to_words(said) == sent).any()
            assert abs(np.corrcoef(said, sent[:, 1].astype(float))[0, 1]) < 0.95


def faulty(parts: Community, name: str, spoil: Callable[[Agent, bytes], bytes | None]) -> InProcess:
    """All members honest but one, whose answers to asks are spoilt from its third on."""
    agents: dict[str, Handler] = {own.name: Agent(own) for own in parts.members}
    honest, asked = agents[name], []

    def answer(data: bytes) -> bytes | None:
        asked.extend([True] * (decode(data).kind == "ask"))
        if len(asked) < 3 or decode(data).kind != "ask":
            return honest(data)
        return spoil(honest, data)

    return InProcess(agents | {name: answer})


def not_finite(agent: Agent, data: bytes) -> bytes:
    message = decode(agent(data))
    assert message.array is not None
    return Message(message.kind, message.fields, np.full(message.array.shape, np.nan)).encode()


def too_short(agent: Agent, data: bytes) -> bytes:
    message = decode(agent(data))
    assert message.array is not None
    return Message(message.kind, message.fields, message.array[:-1]).encode()


SPOILT = {
    "silent": (lambda agent, data: None, "has not answered"),
    "no message": (lambda agent, data: b"\0\1", "no message"),
    "another kind": (lambda agent, data: Message("ready").encode(), "in place of 'answer'"),
    "not finite": (not_finite, "not finite|wrong type"),
    "too short": (too_short, "in place of shape"),
}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("how", SPOILT)
def test_run__one_member_breaks_the_rules__goes_on_without_it_and_names_it(how: str, masked: bool) -> None:
    spoil, what = SPOILT[how]
    whole = shared_roof(5, 4)
    parts = split(whole, public=[0])
    coordinator = Coordinator(
        faulty(parts, "member 2", spoil),
        {own.name: 0 for own in parts.members},
        Rules(masked=masked, patience=1),
    )
    found = price_newton.solve(parts, coordinator)
    assert {fault.member for fault in found.faults} == {"member 2"}
    assert any(part in found.faults[0].what for part in what.split("|"))
    assert close_to(found, structured.solve(without(whole, 2)))


def test_run__policy_stop__says_who_broke_it() -> None:
    parts = community(5, 4)
    transport = faulty(parts, "member 2", too_short)
    coordinator = Coordinator(transport, {own.name: 0 for own in parts.members}, Rules(policy="stop"))
    with pytest.raises(Broken, match="member 2 sends shape"):
        price_newton.solve(parts, coordinator)


def test_run__out_of_proportion_in_the_open__named() -> None:
    def boast(agent: Agent, data: bytes) -> bytes:
        message = decode(agent(data))
        return Message(message.kind, message.fields, np.full(message.array.shape, 1e30)).encode()

    parts = community(5, 4)
    transport = faulty(parts, "member 2", boast)
    coordinator = Coordinator(transport, {own.name: 0 for own in parts.members}, Rules(masked=False))
    assert [fault.member for fault in price_newton.solve(parts, coordinator).faults] == ["member 2"]


def test_run__nonsense_under_a_mask__its_group_is_left_out_and_named() -> None:
    rng = np.random.default_rng(0)

    def lie(agent: Agent, data: bytes) -> bytes:
        message = decode(agent(data))
        words = rng.integers(0, 2**64, message.array.shape, dtype=np.uint64, endpoint=False)
        return Message(message.kind, message.fields, words).encode()

    parts = community(9, 4)
    transport = faulty(parts, "member 4", lie)
    coordinator = Coordinator(transport, {own.name: 0 for own in parts.members})
    found = price_newton.solve(parts, coordinator)
    named = {fault.member for fault in found.faults}
    assert "member 4" in named
    assert len(named) <= 5
    assert "sum can't be true" in found.faults[0].what


def test_run__silent_after_its_numbers__round_repeated_without_it() -> None:
    whole = shared_roof(5, 4)
    parts = split(whole, public=[0])
    agents: dict[str, Handler] = {own.name: Agent(own) for own in parts.members}
    honest = agents["member 3"]
    agents["member 3"] = lambda data: None if decode(data).kind == "reveal" else honest(data)
    coordinator = Coordinator(InProcess(agents), {own.name: 0 for own in parts.members}, Rules(patience=1))
    found = price_newton.solve(parts, coordinator)
    assert [fault.member for fault in found.faults] == ["member 3"]
    assert close_to(found, structured.solve(without(whole, 3)))


def test_run__too_few_left_for_a_sum__stops() -> None:
    parts = community(3, 4)
    transport = faulty(parts, "member 2", too_short)
    coordinator = Coordinator(transport, {own.name: 0 for own in parts.members})
    with pytest.raises(Broken, match="only 2 members are left in zone 0"):
        price_newton.solve(parts, coordinator)


class Slow(Agent):
    """A member that takes its time over the third ask; the specification names who."""

    def __init__(self, specification: tuple[MemberProgram, float]) -> None:
        own, self._pause = specification
        super().__init__(own)
        self._asks = 0

    def __call__(self, data: bytes) -> bytes:
        self._asks += decode(data).kind == "ask"
        if self._asks == 3:
            time.sleep(self._pause)
        return super().__call__(data)


def ends_its_process(specification: tuple[MemberProgram, float]) -> Handler:
    """A member whose process ends at the third ask, if it is told to pause."""
    own, pause = specification
    agent, asks = Agent(own), []

    def answer(data: bytes) -> bytes:
        asks.extend([True] * (decode(data).kind == "ask"))
        if pause and len(asks) == 3:
            raise SystemExit
        return agent(data)

    return answer


@pytest.mark.parametrize(
    ("build", "what"), [(Slow, "has not answered within 1.5 s"), (ends_its_process, "is gone")]
)
def test_processes__one_is_late_or_ends__the_others_finish(build: Callable[..., Handler], what: str) -> None:
    whole = shared_roof(5, 4)
    parts = split(whole, public=[0])
    specifications = {own.name: (own, 3.0 * (own.name == "member 1")) for own in parts.members}
    hosts = [{"member 1": specifications.pop("member 1")}, specifications]
    with closing(Processes(build, hosts)) as transport:
        coordinator = Coordinator(transport, {own.name: 0 for own in parts.members}, Rules(patience=1.5))
        found = price_newton.solve(parts, coordinator)
    assert [(fault.member, fault.what) for fault in found.faults] == [("member 1", what)]
    assert close_to(found, structured.solve(without(whole, 1)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("tolerance", "most"), [(1e-4, 100), (1e-6, 150)])
def test_admm__one_slot__central_price(seed: int, tolerance: float, most: int) -> None:
    whole = one_slot(30, seed=seed)
    parts = split(whole, public=[0])
    with price_newton.run(parts) as coordinator:
        found = admm.solve(parts, coordinator, tolerance=tolerance, max_rounds=most)
    central = structured.solve(whole)
    assert np.allclose(found.zone_price, central.zone_price, atol=30 * tolerance)


def test_admm__batteries_and_zones__central_price() -> None:
    whole = shared_roof(6, 6, zones=3)
    parts = split(whole, public=[0])
    with price_newton.run(parts) as coordinator:
        found = admm.solve(parts, coordinator, tolerance=1e-3)
    central = structured.solve(whole)
    assert np.allclose(found.zone_price, central.zone_price, atol=0.02)


def test_dual_gradient__strictly_convex__central_price() -> None:
    rows = [
        offer(0, 5, 0.1, curvature=0.05),
        *(offer(-2, 0, 0.5, curvature=0.2, connection=i) for i in (1, 2, 3)),
    ]
    whole = program(
        3, connections=[connection(load=[0.5, 1, 2]), *[connection(low=-3, high=1)] * 3], offers=rows
    )
    parts = split(whole)
    with price_newton.run(parts, rules=Rules(masked=False)) as coordinator:
        found = dual_gradient.solve(parts, coordinator, price=0.2)
    assert np.allclose(found.zone_price, structured.solve(whole).zone_price, atol=1e-3)


def test_split__integers_or_a_capped_retailer__refused() -> None:
    with pytest.raises(DispatchError, match="on or off"):
        split(random_program(0, integers=True))
    with pytest.raises(DispatchError, match="neither a cap nor a store"):
        split(shared_roof(), public=[1])


def test_faults__are_logged(caplog: pytest.LogCaptureFixture) -> None:
    parts = community(5, 4)
    with caplog.at_level(logging.WARNING):
        price_newton.solve(
            parts,
            Coordinator(
                faulty(parts, "member 2", too_short), dict.fromkeys((own.name for own in parts.members), 0)
            ),
        )
    assert "member 2 sends shape" in caplog.text
