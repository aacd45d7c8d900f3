"""What members, meters and oracles sign. The digests are worked out here from EIP-712's own definition."""

from typing import Any

import pytest
from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak

from clearwatt.chain import codec, typed_data

CONTRACT, MEMBER = "0x" + 40 * "1", "0x" + 40 * "2"
KEYS = [Account.from_key(keccak(text=f"oracle {number}")) for number in range(3)]
READINGS = (5, -7, 0, 2**31 - 1)
PRICES = codec.pack_imbalance([[1, 2]], [[3, 4]])

STEPS, COMMITMENT = b"\1\2\3", bytes(range(32))
TERM = typed_data.QuorumTerm(6, bytes(range(32, 64)))

MESSAGES = {
    "bid": typed_data.bid(31337, CONTRACT, 9, MEMBER, 3, 77, STEPS),
    "cancellation": typed_data.cancellation(31337, CONTRACT, 9, MEMBER, 3, 77),
    "sealed bid": typed_data.sealed_bid(31337, CONTRACT, 9, MEMBER, 3, 77, COMMITMENT),
    "meter": typed_data.meter_statement(31337, CONTRACT, 9, MEMBER, READINGS),
    "imbalance": typed_data.imbalance_prices(31337, CONTRACT, TERM, 9, PRICES),
    "substitute": typed_data.substitute_reading(
        31337, CONTRACT, TERM, 9, MEMBER, codec.pack_readings(READINGS)
    ),
}
BY_A_MEMBER = (["address", "uint256", "uint256", "uint256"], [MEMBER, 9, 3, 77])


def digest(contract: str, struct: str, kinds: list[str], values: list[Any]) -> bytes:
    """keccak256(0x1901 | domain separator | hash of the struct)."""
    domain_type = keccak(
        text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    domain = [domain_type, keccak(text=f"Clearwatt {contract}"), keccak(text="1"), 31337, CONTRACT]
    separator = keccak(encode(["bytes32", "bytes32", "bytes32", "uint256", "address"], domain))
    hashed = keccak(encode(["bytes32", *kinds], [keccak(text=struct), *values]))
    return bytes(keccak(b"\x19\x01" + separator + hashed))


def signed_digest(message: typed_data.TypedData) -> bytes:
    signable = encode_typed_data(full_message=message)
    return bytes(keccak(b"\x19" + signable.version + signable.header + signable.body))


def test_meter_statement__digest__as_eip_712_says() -> None:
    words = keccak(b"".join(reading.to_bytes(32, "big", signed=True) for reading in READINGS))
    struct = "MeterStatement(uint256 auction,address member,int32[] readings)"
    expected = digest("Settlement", struct, ["uint256", "address", "bytes32"], [9, MEMBER, words])
    assert signed_digest(MESSAGES["meter"]) == expected


def test_bid__digest__as_eip_712_says() -> None:
    kinds, values = BY_A_MEMBER
    struct = "Bid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes steps)"
    expected = digest("Market", struct, [*kinds, "bytes32"], [*values, keccak(STEPS)])
    assert signed_digest(MESSAGES["bid"]) == expected


def test_cancellation__digest__as_eip_712_says() -> None:
    struct = "Cancellation(address member,uint256 auction,uint256 nonce,uint256 deadline)"
    assert signed_digest(MESSAGES["cancellation"]) == digest("Market", struct, *BY_A_MEMBER)


def test_sealed_bid__digest__as_eip_712_says() -> None:
    kinds, values = BY_A_MEMBER
    struct = "SealedBid(address member,uint256 auction,uint256 nonce,uint256 deadline,bytes32 commitment)"
    expected = digest("Market", struct, [*kinds, "bytes32"], [*values, COMMITMENT])
    assert signed_digest(MESSAGES["sealed bid"]) == expected


def test_imbalance_prices__digest__as_eip_712_says() -> None:
    struct = "ImbalancePrices(uint256 auction,uint256 epoch,bytes32 configuration,bytes prices)"
    expected = digest(
        "OracleQuorum", struct, ["uint256", "uint256", "bytes32", "bytes32"], [9, *TERM, keccak(PRICES)]
    )
    assert signed_digest(MESSAGES["imbalance"]) == expected


def test_substitute_reading__digest__as_eip_712_says() -> None:
    struct = (
        "SubstituteReading(uint256 auction,address member,uint256 epoch,bytes32 configuration,bytes readings)"
    )
    kinds = ["uint256", "address", "uint256", "bytes32", "bytes32"]
    readings = keccak(codec.pack_readings(READINGS))
    expected = digest("OracleQuorum", struct, kinds, [9, MEMBER, *TERM, readings])
    assert signed_digest(MESSAGES["substitute"]) == expected


def test_configuration_of__two_signers__hash_of_their_abi_encoding() -> None:
    words = [64, 2, 2, int(CONTRACT, 16), int(MEMBER, 16)]
    expected = keccak(b"".join(word.to_bytes(32, "big") for word in words))
    assert typed_data.configuration_of([CONTRACT, MEMBER], 2) == expected


@pytest.mark.parametrize("name", MESSAGES)
def test_sign__any_message__recovers_to_the_key(name: str) -> None:
    signature = typed_data.sign(KEYS[0], MESSAGES[name])
    assert len(signature) == 65
    assert typed_data.signer_of(MESSAGES[name], signature) == KEYS[0].address
    others = [message for other, message in MESSAGES.items() if other != name]
    assert all(typed_data.signer_of(message, signature) != KEYS[0].address for message in others)


def test_sign_all__keys_in_any_order__signatures_ascend_by_address() -> None:
    message = MESSAGES["imbalance"]
    signatures = typed_data.sign_all(KEYS, message)
    assert signatures == typed_data.sign_all(KEYS[::-1], message)
    signers = [
        typed_data.signer_of(message, signatures[at : at + 65]) for at in range(0, len(signatures), 65)
    ]
    assert signers == sorted((key.address for key in KEYS), key=lambda address: int(address, 16))
