"""The accounts of a simulated community: what each can do on chain, and the meter beside it.

Keys are derived from the simulation's seed. They are test keys, worth nothing anywhere else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak
from web3.contract.contract import ContractFunction

from clearwatt.bids import Step, pack_steps
from clearwatt.chain import codec, typed_data
from clearwatt.chain.market import MarketClient
from clearwatt.chain.node import Refused, checksum, node_errors
from clearwatt.chain.sender import Receipt, Sender
from clearwatt.metering.statements import Statement

BIDS_AT_ONCE = 40
FIRST_NONCE = 1


def test_key(seed: int, role: str) -> LocalAccount:
    """The same key for the same seed and role, every time."""
    return Account.from_key(keccak(text=f"clearwatt simulation {seed}: {role}"))


@dataclass
class Participant:
    """Somebody with an account and a meter.

    row: which row of the community's arrays is its; -1 for the retailer.
    """

    name: str
    zone: int
    source: str
    row: int
    key: LocalAccount
    meter: LocalAccount
    sender: Sender

    @property
    def address(self) -> str:
        return str(self.key.address)

    def statement(self, client: MarketClient, auction: int, readings: Sequence[int]) -> Statement:
        """What its meter says was delivered."""
        deployment = client.deployment
        message = typed_data.meter_statement(
            deployment.chain_id, deployment["Settlement"].address, auction, self.address, readings
        )
        return Statement(
            auction, self.address, codec.pack_readings(readings), typed_data.sign(self.meter, message)
        )

    def signed_bid(self, client: MarketClient, auction: int, steps: Sequence[Step]) -> codec.SignedBid:
        """Its bid, which anyone can post until the gate closes; it needs no ether for that."""
        deployment, packed = client.deployment, pack_steps(steps)
        deadline = client.rules.schedule.gate_closure(auction)
        message = typed_data.bid(
            deployment.chain_id,
            deployment["Market"].address,
            auction,
            self.address,
            FIRST_NONCE,
            deadline,
            packed,
        )
        return codec.SignedBid(
            self.address, FIRST_NONCE, deadline, packed, typed_data.sign(self.key, message)
        )


def make_participant(
    client: MarketClient, seed: int, name: str, zone: int, source: str, row: int
) -> Participant:
    """A participant with keys of its own."""
    key = test_key(seed, name)
    return Participant(
        name,
        zone,
        source,
        row,
        key,
        test_key(seed, f"meter of {name}"),
        Sender(client.web3, key, client.errors),
    )


def place_bids(
    client: MarketClient,
    poster: Sender,
    auction: int,
    bundles: Iterable[tuple[Participant, Sequence[Step]]],
) -> list[Receipt]:
    """Everybody signs a bundle; one account posts them all. Raises Refused if one is not taken, NodeError."""
    signed = [participant.signed_bid(client, auction, steps) for participant, steps in bundles]
    groups = (signed[start : start + BIDS_AT_ONCE] for start in range(0, len(signed), BIDS_AT_ONCE))
    receipts = [poster.send(client.bid_signed(auction, group)) for group in groups]
    refused = client.view().auctions[auction].refused
    if refused:
        reasons = (f"{member}: {client.errors.name_of(reason)}" for member, reason in refused.items())
        raise Refused("", {}, f"signed bids were not placed: {', '.join(reasons)}")
    return receipts


def send_all(sender: Sender, calls: Iterable[ContractFunction], gas: int) -> None:
    """One account sends many calls with the same gas limit; then all receipts are waited for."""
    pending = [(sender.post(call, gas), call) for call in calls]
    for transaction, call in pending:
        sender.wait(transaction, call)


def retire_all(client: MarketClient, participant: Participant, ids: Sequence[int], purpose: str) -> None:
    """The participant retires all it holds of these tokens, for itself."""
    owner = checksum(participant.address)
    with node_errors(client.errors):
        balances = client.token.functions.balanceOfBatch([owner] * len(ids), list(ids)).call()
    held = [(token, amount) for token, amount in zip(ids, balances, strict=True) if amount]
    if held:
        tokens, amounts = map(list, zip(*held, strict=True))
        participant.sender.send(client.token.functions.retireBatch(tokens, amounts, owner, purpose))
