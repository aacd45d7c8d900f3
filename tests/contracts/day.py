"""One auction of the test community in which every rule has something to say, stage by stage.

Slot 0: PV offers more than its neighbour needs; the sell step is marginal.
Slot 1: it offers less; the buy step is marginal.
Slot 2: it offers the retailer more than its feeder can carry.
Slot 3: in zone 2 a sell and a buy meet with room for the price between them; in zone 3 they meet at one price.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from clearwatt.chain import codec
from clearwatt.clearing.auction import Auction, Claim, Result
from tests.contracts.community import Community, Participant
from tests.contracts.refusals import Refusal, refusal


@dataclass(frozen=True)
class Day:
    """The auction as a solver sees it, and shorthand for what is sent to the chain about it."""

    market: Community
    auction: int
    problem: Auction
    result: Result
    claim: Claim

    @property
    def bids(self) -> bytes:
        return codec.pack_bids(self.problem.bids)

    @property
    def packed_prices(self) -> bytes:
        return codec.pack_prices(self.claim.prices)

    def income(self) -> int:
        """The network's: flows times price differences, money units."""
        parents = self.problem.grid.parents
        return sum(
            flow * (self.result.prices[parents[zone]][slot] - self.result.prices[zone][slot])
            for zone in range(1, self.problem.grid.zones)
            for slot, flow in enumerate(self.result.flows[zone])
        )

    def clear(self, claim: Claim | None = None, bids: bytes | None = None, sender: Any = None) -> Any:
        """Send this claim over these bids; without, the honest ones."""
        return self.market.submit(
            self.auction, claim or self.claim, self.bids if bids is None else bids, sender
        )

    def refusal(self, claim: Claim | None = None, bids: bytes | None = None, **raw: bytes) -> Refusal | None:
        """What the market says to such a clearing; `raw` replaces packed `prices` or `marginals`."""
        claim = claim or self.claim
        prices = raw.get("prices", codec.pack_prices(claim.prices))
        marginals = raw.get("marginals", codec.pack_marginals(claim.marginals))
        sent = (self.auction, prices, marginals, self.bids if bids is None else bids)
        return refusal(self.market.clearing.clear, *sent, sender=self.market.owner)

    def with_price(self, zone: int, slot: int, price: int) -> Claim:
        """The claim with one price changed."""
        prices = [list(row) for row in self.claim.prices]
        prices[zone][slot] = price
        return replace(self.claim, prices=tuple(map(tuple, prices)))

    def with_marginal(self, zone: int, slot: int, side: str, **changes: int) -> Claim:
        """The claim with one marginal volume changed; with no changes, without it."""
        kept = [
            marginal._replace(**changes) if marginal[:3] == (zone, slot, side) else marginal
            for marginal in self.claim.marginals
            if changes or marginal[:3] != (zone, slot, side)
        ]
        assert tuple(kept) != self.claim.marginals
        return replace(self.claim, marginals=tuple(kept))

    def position(self, participant: Participant) -> codec.Position:
        return self.market.position(self.problem, self.result, participant)

    def delivery(self, participant: Participant, deviations: Sequence[int] = (0, 0, 0, 0)) -> bytes:
        """A statement of the participant's meter, packed: what it traded, and so much more per slot."""
        position = self.position(participant)
        readings = [fill + more for fill, more in zip(position.fills, deviations, strict=True)]
        return self.market.delivery(self.auction, participant, position, readings)


def place_bids(market: Community, auction: int = 0) -> None:
    """Everybody's bids; the gate is open afterwards."""
    retailer, producer, consumer, remote_producer, remote_consumer = market.participants
    market.open_gate(auction)
    market.bid(retailer, auction, [(2, 8_000, -100_000)])
    market.bid(producer, auction, [(0, 8_000, 4_000), (1, 5_000, 1_000), (2, 5_000, 30_000), (3, 9_000, 500)])
    market.bid(consumer, auction, [(0, 30_000, -3_000), (1, 20_000, -3_000), (3, 11_000, -500)])
    market.bid(remote_producer, auction, [(3, 10_000, 1_000)])
    market.bid(remote_consumer, auction, [(3, 10_000, -1_500)])


def close_day(market: Community, auction: int = 0) -> Day:
    """Bids placed, gate closed, solved but not cleared."""
    market.bids.clear()
    place_bids(market, auction)
    market.await_clearing(auction)
    return Day(market, auction, *market.solve(auction))
