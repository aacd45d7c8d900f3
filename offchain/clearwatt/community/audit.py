"""A market's day audited from chain data alone: events, receipts and balances.

Nothing the simulation knows goes in. Whoever has a node and the deployment's addresses can do the same.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from web3.types import EventData

from clearwatt.chain.codec import unpack_bids, unpack_settlements
from clearwatt.chain.deployment import SOURCES
from clearwatt.chain.events import EventReader
from clearwatt.chain.market import AuctionView, MarketClient, MarketView
from clearwatt.chain.node import checksum, latest, node_errors
from clearwatt.clearing.auction import Result
from clearwatt.clearing.equilibrium import RuleBroken, check_claim, check_result
from clearwatt.clearing.positions import Position, positions
from clearwatt.community.outcome import Check, GasKind, GasUse
from clearwatt.units import Money

AUDITED = ("Vault", "Market", "ChunkedClearing", "Settlement", "EnergyToken")
GAS_KINDS: dict[str, GasKind] = {
    "BidsPlaced": "bid",
    "Cleared": "clear",
    "ClearingBegun": "clear",
    "ChunkFilled": "clear",
    "ImbalancePricesPosted": "imbalance",
    "MembersSettled": "settle",
    "TokensDrawn": "tokens",
}
NOBODY = "0x" + "0" * 40
SOURCE_NAMES = {number: name for name, number in SOURCES.items()}


@dataclass(frozen=True)
class AuctionAudit:
    """One cleared auction, derived anew. positions: net Wh per slot and cash, by member."""

    view: AuctionView
    result: Result
    positions: dict[str, Position]


class Audit:
    """Everything the chain says about a market, read once at the newest block."""

    def __init__(self, client: MarketClient) -> None:
        self._client = client
        self.view: MarketView = client.view()
        self.block = latest(client.web3).number
        reader = EventReader(client.web3, client.deployment, AUDITED)
        self._events = list(reader.read(client.deployment.first_block, self.block))

    def _named(self, *names: str) -> Iterable[EventData]:
        return (event for event in self._events if event["event"] in names)

    # ------------------------------------------------------------ energy

    @cached_property
    def auctions(self) -> dict[int, AuctionAudit]:
        """Every cleared auction, derived from its bids, prices and marginal volumes. Raises RuleBroken."""
        return {
            number: self._derive(view) for number, view in sorted(self.view.auctions.items()) if view.cleared
        }

    def _derive(self, view: AuctionView) -> AuctionAudit:
        problem = view.problem(self._client.rules)
        result = check_claim(problem, view.claim(self._client.rules))
        check_result(problem, result)
        return AuctionAudit(view, result, positions(problem, result))

    # ------------------------------------------------------------ money

    @cached_property
    def accounts(self) -> set[str]:
        """Every account that ever had money in the vault."""
        found = {event["args"]["account"] for event in self._named("Deposited")}
        found |= {member for auction in self.view.auctions.values() for member in auction.settled}
        rules = self._client.rules
        return found | {checksum(rules.balancing_party), checksum(rules.network_account)}

    @cached_property
    def deposited(self) -> dict[str, int]:
        """Deposits less withdrawals by account, money units."""
        totals: dict[str, int] = defaultdict(int)
        for event in self._named("Deposited"):
            totals[event["args"]["account"]] += event["args"]["money"]
        for event in self._named("Withdrawn"):
            totals[event["args"]["account"]] -= event["args"]["money"]
        return totals

    @cached_property
    def balances(self) -> dict[str, tuple[int, int, int]]:
        """Balance, locked and debt by account, money units."""
        functions = self._client.vault.functions
        with node_errors():
            return {account: functions.accountOf(account).call()[:3] for account in self.accounts}

    def earned(self) -> dict[str, Money]:
        """What the market paid each account, negative = it paid; what is still owed counts as paid."""
        party = checksum(self._client.rules.balancing_party)
        earned: dict[str, int] = {}
        for account, (balance, _, debt) in self.balances.items():
            with node_errors():
                claim = self._client.vault.functions.claimOf(account).call()
            earned[account] = earned.get(account, 0) + balance - self.deposited.get(account, 0) - debt + claim
            earned[party] = earned.get(party, 0) + debt - claim
        return {account: Money(amount) for account, amount in earned.items()}

    # ------------------------------------------------------------ tokens

    def tokens_issued(self) -> dict[str, int]:
        """Wh minted by source."""
        minted: dict[str, int] = defaultdict(int)
        for event in self._named("TransferSingle"):
            if event["args"]["from"] == NOBODY:
                minted[_source_of(event["args"]["id"])] += event["args"]["value"]
        return dict(minted)

    def tokens_retired(self) -> dict[str, int]:
        """Wh retired by source."""
        retired: dict[str, int] = defaultdict(int)
        for event in self._named("Retired"):
            retired[_source_of(event["args"]["id"])] += event["args"]["amount"]
        return dict(retired)

    def token_ids(self) -> list[int]:
        """Every id ever minted."""
        return sorted({event["args"]["id"] for event in self._named("TransferSingle")})

    # ------------------------------------------------------------ gas

    def gas(self) -> tuple[GasUse, ...]:
        """Gas of every transaction that moved an auction on, from its receipt."""
        groups: dict[tuple[str, GasKind, int], list[EventData]] = defaultdict(list)
        for event in self._named(*GAS_KINDS):
            kind = GAS_KINDS[event["event"]]
            groups[event["transactionHash"].to_0x_hex(), kind, event["args"]["auction"]].append(event)
        return tuple(self._gas_use(*key, events) for key, events in groups.items())

    def _gas_use(self, transaction: str, kind: GasKind, auction: int, events: list[EventData]) -> GasUse:
        with node_errors():
            receipt = self._client.web3.eth.get_transaction_receipt(transaction)  # type: ignore[arg-type]
        bids = self.view.auctions.get(auction, AuctionView(auction)).bids
        match kind:
            case "bid":
                served = [bid.member for event in events for bid in unpack_bids(event["args"]["bids"])]
            case "settle":
                served = [member for event in events for member in self._settled_by(event)]
            case "clear" | "imbalance":
                served = list(bids)
            case _:
                served = [event["args"]["member"] for event in events]
        steps = sum(len(bids[member].steps) for member in served if member in bids)
        return GasUse(kind, receipt["gasUsed"], steps, len(served), auction)

    def _settled_by(self, event: EventData) -> list[str]:
        settlements = unpack_settlements(event["args"]["settlements"], self.view.slots)
        return [settled.member for settled in settlements]

    # ------------------------------------------------------------ checks

    def checks(self) -> tuple[Check, ...]:
        """Conservation of money, energy and tokens, and every clearing verified once more."""
        try:
            count = len(self.auctions)
        except RuleBroken as broken:
            return (Check("every clearing is the canonical optimum", False, str(broken)),)
        optimal = Check(
            "Every clearing is the canonical optimum", True, f"{count} auctions checked again by E1-E7"
        )
        return (optimal, *self._money_checks(), *self._energy_checks(), *self._token_checks())

    def _money_checks(self) -> tuple[Check, ...]:
        functions = self._client.vault.functions
        with node_errors():
            held, clearing = functions.held().call(), functions.clearingAccount().call()
            token = self._client.web3.eth.contract(
                address=functions.token().call(), abi=self._client.deployment["TestEuro"].abi
            )
            unit = 10 ** token.functions.decimals().call()
            backing = token.functions.balanceOf(self._client.vault.address).call() * 10**8 // unit
        balances = sum(balance for balance, _, _ in self.balances.values())
        deposited = sum(self.deposited.values())
        locked = sum(lock for _, lock, _ in self.balances.values())
        return (
            Check(
                "Money in the vault is what was deposited less what was withdrawn",
                balances + clearing == deposited == held,
                f"balances {balances} + clearing account {clearing}, net deposits {deposited}",
            ),
            Check("Tokens in the vault back every balance", backing >= held, f"{backing} held for {held}"),
            Check(
                "Nothing is left locked after the day",
                locked == 0 and clearing == 0,
                f"{locked} units locked",
            ),
            self._cash_check(),
        )

    def _cash_check(self) -> Check:
        """Every member's cash is its fills at the prices of its zone, and the network gets exactly the rest."""
        wrong = 0
        for audit in self.auctions.values():
            paid = {member: settled.cash for member, settled in audit.view.settled.items()}
            due = {member: position.cash for member, position in audit.positions.items()}
            wrong += paid != due or sum(due.values()) + (audit.view.income or 0) != 0
        return Check("Contract cash follows from fills and prices", wrong == 0, f"{wrong} auctions differ")

    def _energy_checks(self) -> tuple[Check, ...]:
        left = sum(
            abs(sum(fills))
            for audit in self.auctions.values()
            for fills in zip(*(position.fills for position in audit.positions.values()), strict=True)
        )
        unsettled = sum(len(audit.view.unsettled) for audit in self.auctions.values())
        settled = sum(len(audit.view.settled) for audit in self.auctions.values())
        return (
            Check("Energy balances in every slot of every auction", left == 0, f"{left} Wh left over"),
            Check("Every position is settled once", unsettled == 0, f"{settled} settled, {unsettled} not"),
        )

    def _token_checks(self) -> tuple[Check, ...]:
        minted: dict[int, int] = defaultdict(int)
        for event in self._named("TransferSingle"):
            if event["args"]["from"] == NOBODY:
                minted[event["args"]["id"]] += event["args"]["value"]
        beyond = sum(amount > self._injected(token) for token, amount in minted.items())
        with node_errors():
            issued = {token: self._client.token.functions.issued(token).call() for token in minted}
        metered = sum(self._injected(token) for token in minted)
        detail = f"{sum(minted.values())} Wh of tokens in {len(minted)} ids, {metered} Wh injected by meters"
        return (
            Check("No token id exceeds what its meters injected", beyond == 0, detail),
            Check(
                "The token contract's own count agrees", issued == minted, f"{sum(issued.values())} Wh issued"
            ),
        )

    def _injected(self, token: int) -> int:
        """Wh that the readings of the id's auction and source say were injected."""
        return sum(
            sum(max(reading, 0) for reading in settled.readings)
            for settled in self.view.auctions[token >> 8].settled.values()
            if settled.source == token & 0xFF
        )


def _source_of(token: int) -> str:
    return SOURCE_NAMES[token & 0xFF]
