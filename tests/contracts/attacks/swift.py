"""A community that reaches the stages of its day past Ape, which takes its time over every receipt."""

from collections.abc import Sequence
from typing import Any

from clearwatt.bids import Bid, Step, pack_steps
from clearwatt.chain import codec, typed_data
from clearwatt.clearing.auction import Claim
from tests.contracts.adversary.driver import send
from tests.contracts.community import ZERO_ADDRESS, Community, Participant
from tests.contracts.refusals import returned


def word_of(method: Any, *arguments: Any, word: int = 0) -> int:
    """One of the words that a view returns, as a number."""
    answer = returned(method, *arguments)
    assert isinstance(answer, bytes), answer
    return int.from_bytes(answer[32 * word : 32 * word + 32], "big")


class SwiftCommunity(Community):
    """As `Community`, without receipts."""

    def bid(self, participant: Participant, auction: int, steps: Sequence[tuple[int, int, int]]) -> None:
        bundle = tuple(Step(*step) for step in steps)
        send(self.market.bid, auction, pack_steps(bundle), sender=participant.account)
        self.bids[auction, participant.address] = Bid(participant.address, participant.zone, bundle)

    def submit(self, auction: int, claim: Claim, bids: bytes, sender: Any = None) -> None:
        packed = (codec.pack_prices(claim.prices), codec.pack_marginals(claim.marginals))
        send(self.clearing.clear, auction, *packed, bids, sender=sender or self.owner)

    def post_imbalance(self, auction: int, claim: Claim, spread: int = 1_000, wait: bool = True) -> bytes:
        prices = self.imbalance(claim, spread)
        sent = (auction, codec.pack_prices(claim.prices), prices, self.sign_imbalance(auction, prices))
        send(self.settlement.postImbalance, *sent, sender=self.owner)
        if wait:
            self.await_final(auction)
        return prices

    def await_final(self, auction: int, subject: str = ZERO_ADDRESS) -> None:
        self.travel(word_of(self.quorum.reportOf, auction, subject, word=1))

    @property
    def term(self) -> typed_data.QuorumTerm:
        configuration = word_of(self.quorum.configuration).to_bytes(32, "big")
        return typed_data.QuorumTerm(word_of(self.quorum.epoch), configuration)
