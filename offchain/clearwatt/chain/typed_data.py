"""The EIP-712 messages of the market: what members, meters and oracles sign, and signing them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

TypedData = dict[str, Any]

_DOMAIN = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


class Evidence(IntEnum):
    """On whose word a reading stands; as `ISettlement.Evidence`."""

    METER = 0
    SUBSTITUTE = 1
    DEEMED = 2


def _message(
    contract: str, chain_id: int, address: str, name: str, fields: dict[str, str], values: dict[str, Any]
) -> TypedData:
    return {
        "types": {
            "EIP712Domain": _DOMAIN,
            name: [{"name": field, "type": kind} for field, kind in fields.items()],
        },
        "primaryType": name,
        "domain": {"name": contract, "version": "1", "chainId": chain_id, "verifyingContract": address},
        "message": values,
    }


def meter_statement(
    chain_id: int, settlement: str, auction: int, member: str, readings: Sequence[int]
) -> TypedData:
    """A meter's statement: net Wh for each slot of one auction."""
    return _message(
        "Clearwatt Settlement",
        chain_id,
        settlement,
        "MeterStatement",
        {"auction": "uint256", "member": "address", "readings": "int32[]"},
        {"auction": auction, "member": member, "readings": [int(reading) for reading in readings]},
    )


def bid(
    chain_id: int, market: str, auction: int, member: str, nonce: int, deadline: int, steps: bytes
) -> TypedData:
    """A member's bid, for anyone to post. nonce: above the last one of this auction. deadline: Unix time."""
    fields = {"steps": "bytes"}
    return _member_message(chain_id, market, "Bid", (auction, member, nonce, deadline), fields, steps=steps)


def cancellation(
    chain_id: int, market: str, auction: int, member: str, nonce: int, deadline: int
) -> TypedData:
    """A member takes its bid back; otherwise as `bid`."""
    return _member_message(chain_id, market, "Cancellation", (auction, member, nonce, deadline), {})


def sealed_bid(
    chain_id: int, market: str, auction: int, member: str, nonce: int, deadline: int, commitment: bytes
) -> TypedData:
    """A member's sealed bid, its commitment as `codec.seal_commitment` makes it; otherwise as `bid`."""
    fields = {"commitment": "bytes32"}
    place = (auction, member, nonce, deadline)
    return _member_message(chain_id, market, "SealedBid", place, fields, commitment=commitment)


def _member_message(
    chain_id: int,
    market: str,
    name: str,
    place: tuple[int, str, int, int],
    fields: dict[str, str],
    **values: Any,
) -> TypedData:
    auction, member, nonce, deadline = place
    head = {"member": "address", "auction": "uint256", "nonce": "uint256", "deadline": "uint256"}
    named = {"member": member, "auction": auction, "nonce": nonce, "deadline": deadline}
    return _message("Clearwatt Market", chain_id, market, name, head | fields, named | values)


class QuorumTerm(NamedTuple):
    """Which quorum signs; what is signed counts as long as it is in office.

    epoch: how often the quorum has changed. configuration: see `configuration_of`.
    """

    epoch: int
    configuration: bytes


def configuration_of(signers: Sequence[str], threshold: int) -> bytes:
    """32 bytes that stand for these signers, ascending, and their threshold."""
    return keccak(encode(["address[]", "uint256"], [list(signers), threshold]))


@dataclass(frozen=True)
class Office:
    """The quorum in office.

    epoch: how often the quorum has changed. signers: addresses, ascending as numbers. threshold: how many must sign.
    """

    epoch: int
    signers: tuple[str, ...]
    threshold: int

    @property
    def term(self) -> QuorumTerm:
        """As its signatures name it."""
        return QuorumTerm(self.epoch, configuration_of(self.signers, self.threshold))


def imbalance_prices(chain_id: int, quorum: str, term: QuorumTerm, auction: int, prices: bytes) -> TypedData:
    """The quorum's imbalance prices, packed as `codec.pack_imbalance` does."""
    return _message(
        "Clearwatt OracleQuorum",
        chain_id,
        quorum,
        "ImbalancePrices",
        {"auction": "uint256", "epoch": "uint256", "configuration": "bytes32", "prices": "bytes"},
        {"auction": auction, **term._asdict(), "prices": prices},
    )


def substitute_reading(
    chain_id: int, quorum: str, term: QuorumTerm, auction: int, member: str, readings: bytes
) -> TypedData:
    """The quorum's reading in place of a silent meter, packed as `codec.pack_readings` does."""
    return _message(
        "Clearwatt OracleQuorum",
        chain_id,
        quorum,
        "SubstituteReading",
        {
            "auction": "uint256",
            "member": "address",
            "epoch": "uint256",
            "configuration": "bytes32",
            "readings": "bytes",
        },
        {"auction": auction, "member": member, **term._asdict(), "readings": readings},
    )


def sign(key: LocalAccount, message: TypedData) -> bytes:
    """65 bytes of signature."""
    return bytes(key.sign_message(encode_typed_data(full_message=message)).signature)


def sign_all(keys: Iterable[LocalAccount], message: TypedData) -> bytes:
    """The signatures of several keys, ascending by address, as the quorum reads them."""
    ordered = sorted(keys, key=lambda key: int(key.address, 16))
    return b"".join(sign(key, message) for key in ordered)


def signer_of(message: TypedData, signature: bytes) -> str:
    """The address that signed."""
    return str(Account.recover_message(encode_typed_data(full_message=message), signature=signature))
