"""A small cleared auction, as the chain would show it; no chain is needed."""

from clearwatt.bids import Bid, Step
from clearwatt.chain import codec
from clearwatt.chain.deployment import Schedule
from clearwatt.chain.market import AuctionView, MarketRules
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import Grid

RETAILER, PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2, 3))
AUCTION = 7
SCHEDULE = Schedule(genesis=1_750_000_500, slots=2)
RULES = MarketRules(SCHEDULE, Grid.single(), 0, 100_000, 8, RETAILER, RETAILER)
IMPORT, EXPORT = 30_000, 8_000


def cleared(number: int = AUCTION) -> AuctionView:
    """The retailer sells at 30000 and buys at 8000 ticks; per slot, 500 Wh of the producer's go to the consumer."""
    bids = [
        Bid(RETAILER, 0, (Step(0, EXPORT, -5_000), Step(0, IMPORT, 5_000), Step(1, IMPORT, 5_000))),
        Bid(PRODUCER, 0, (Step(0, 10_000, 500), Step(1, 10_000, 500))),
        Bid(CONSUMER, 0, (Step(0, 20_000, -500), Step(1, 20_000, -500))),
    ]
    view = AuctionView(number, {bid.member: bid for bid in bids})
    problem = view.problem(RULES)
    claim = claim_of(problem, clear(problem))
    view.prices, view.marginals = codec.pack_prices(claim.prices), codec.pack_marginals(claim.marginals)
    return view
