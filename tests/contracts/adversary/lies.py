"""Lies in every field of everything that is sent; each is made of what would honestly be sent."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from clearwatt.chain import codec, typed_data
from clearwatt.clearing.auction import Claim
from clearwatt.clearing.equilibrium import RuleBroken, check_claim
from tests.contracts.chunked.session import Session, ordered, packed
from tests.contracts.community import Community, Participant, key_of
from tests.contracts.day import Day
from tests.contracts.equilibrium.tampering import tampered_claims

Call = tuple[Any, tuple[Any, ...]]
"""A method and its arguments."""

TAMPERED = 4
OUTSIDERS = (key_of("outsider"), key_of("another outsider"))


def flipped(rng: np.random.Generator, data: bytes) -> bytes:
    """The same with one bit of it another."""
    place, bit = int(rng.integers(len(data))), int(rng.integers(8))
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


# ------------------------------------------------------------------------------------------------ clearing


def clearing_lies(rng: np.random.Generator, day: Day) -> Iterator[Call]:
    """What a solver could send in place of the honest clearing; all wrong."""
    clear = day.market.clearing.clear
    honest = [day.auction, day.packed_prices, codec.pack_marginals(day.claim.marginals), day.bids]
    for field, lies in enumerate(_field_lies(rng, day, honest)):
        for lie in lies:
            yield clear, tuple(lie if index == field else value for index, value in enumerate(honest))


def _field_lies(rng: np.random.Generator, day: Day, honest: list[Any]) -> Iterator[list[Any]]:
    number, prices, marginals, bids = honest
    ring = day.market.config.ring_size
    yield [number + 1, number + ring, 2**40]
    yield [prices[:-1], prices + b"\0\0\0", prices[3:] + b"\x40\0\0"]
    yield [marginals + b"\0", marginals + bytes(16), *([marginals[:-1]] if marginals else [])]
    yield [bids + b"\0", bids + bytes(24), *(_bid_lies(rng, day) if bids else [])]


def _bid_lies(rng: np.random.Generator, day: Day) -> list[bytes]:
    """Dropped, doubled, reordered, cut off, one bit another."""
    bids = ordered(day.problem.bids)
    chosen = int(rng.integers(len(bids)))
    lies = [bids[:chosen] + bids[chosen + 1 :], bids[: chosen + 1] + bids[chosen:]]
    if len(bids) > 1:
        lies.append(bids[::-1])
    return [*map(packed, lies), day.bids[:-1], flipped(rng, day.bids)]


def tampered(rng: np.random.Generator, day: Day) -> Iterator[tuple[Claim, bool]]:
    """Claims with other prices, volumes or grids behind them, and whether the rules admit them all the same."""
    for claim in tampered_claims(rng, day.problem, day.claim, TAMPERED):
        try:
            check_claim(day.problem, claim)
        except RuleBroken:
            yield claim, False
        else:
            yield claim, True


def session_lies(rng: np.random.Generator, session: Session) -> Iterator[Call]:
    """What could be sent in place of the honest `close` of a session that has seen every bid."""
    close = session.contract.close
    honest = [session.number, session.state, session.prices, session.marginals, session.chunks]
    lies: list[list[Any]] = [
        [session.number + 1],
        [flipped(rng, session.state), session.state[:-1], session.state + b"\0", b""],
        [flipped(rng, session.prices)],
        [session.marginals + bytes(16)],
        [session.chunks[:-1], [*session.chunks, bytes(32)], [bytes(32)] * len(session.chunks)],
    ]
    for field, wrong in enumerate(lies):
        for lie in wrong:
            if lie != honest[field]:
                yield close, tuple(lie if index == field else value for index, value in enumerate(honest))


# ------------------------------------------------------------------------------------------------ reports


def report_lies(rng: np.random.Generator, day: Day, imbalance: bytes) -> Iterator[Call]:
    """What could be sent in place of the quorum's honest report."""
    market, number, prices = day.market, day.auction, day.packed_prices
    post = market.settlement.postImbalance
    honest = market.sign_imbalance(number, imbalance)
    for term in (market.term._replace(epoch=1), market.term._replace(configuration=bytes(32))):
        yield post, (number, prices, imbalance, _signed(market, number, imbalance, term=term))
    yield post, (number, prices, imbalance, _signed(market, number, imbalance, chain_id=1))
    yield post, (number, prices, imbalance, honest[65:] + honest[:65])
    yield post, (number, prices, imbalance, honest[:65])
    yield post, (number, prices, imbalance, honest[:65] * 2)
    yield post, (number, prices, imbalance, honest + b"\0")
    yield post, (number, prices, imbalance, flipped(rng, honest))
    yield post, (number, prices, imbalance, market.sign_imbalance(number, imbalance, OUTSIDERS))
    yield post, (number, prices, imbalance, market.sign_imbalance(number + 1, imbalance))
    yield post, (number + 1, prices, imbalance, honest)
    yield post, (number, flipped(rng, prices), imbalance, honest)
    yield post, (number, prices, flipped(rng, imbalance), honest)
    yield post, (number, prices, imbalance[:-6], honest)


def _signed(market: Community, auction: int, imbalance: bytes, **changes: Any) -> bytes:
    meant = {"chain_id": market.chain_id, "quorum": market.quorum.address, "term": market.term} | changes
    message = typed_data.imbalance_prices(**meant, auction=auction, prices=imbalance)
    return typed_data.sign_all(market.signing_oracles, message)


# ------------------------------------------------------------------------------------------------ deliveries


def delivery_lies(
    rng: np.random.Generator, day: Day, imbalance: bytes, member: Participant, readings: tuple[int, ...]
) -> Iterator[Call]:
    """What could be sent in place of the honest delivery of a member that is not settled yet."""
    market, number, position = day.market, day.auction, day.position(member)
    settle = market.settlement.settle
    honest = market.delivery(number, member, position, readings)
    others = [p for p in market.participants if p != member]
    other = others[int(rng.integers(len(others)))]
    fills = position.fills
    forged = [
        flipped(rng, honest),
        honest[:-1],
        honest + b"\0",
        honest + honest,
        bytes.fromhex(other.address[2:]) + honest[20:],
        honest[:20] + bytes([3]) + honest[21:],
        honest[:-65] + market.delivery(number, replace(member, meter=other.meter), position, readings)[-65:],
        honest[:-65] + market.delivery(number + 1, member, position, readings)[-65:],
        market.delivery(number, member, position._replace(zone=position.zone ^ 1), readings),
        market.delivery(number, member, position._replace(cash=position.cash + 1), readings),
        market.delivery(number, member, position._replace(fills=(fills[0] + 1, *fills[1:])), readings),
        market.substituted(member, position, (7,) * len(fills)),
    ]
    for lie in forged:
        yield settle, (number, imbalance, lie)
    yield settle, (number + 1, imbalance, honest)
    yield settle, (number, flipped(rng, imbalance), honest)
    yield settle, (number, imbalance[:-6], honest)


def entitlement_lies(row: tuple[str, int, int, int], other: str) -> list[tuple[str, int, int, int]]:
    """A row of `drawTokens` with each field another."""
    member, source, unmatched, bought = row
    return [
        (other, source, unmatched + 1, bought),
        (member, (source + 1) % 4, unmatched, bought),
        (member, source, unmatched + 1, bought),
        (member, source, unmatched, bought + 1),
    ]
