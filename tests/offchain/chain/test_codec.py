"""The layouts the contracts read: bytes spelt out by hand, there and back, and sizes that do not fit."""

from collections.abc import Callable

import numpy as np
import pytest
from eth_utils import keccak, to_checksum_address
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.bids import Bid, BidError, Step
from clearwatt.chain import codec
from clearwatt.chain.codec import CodecError, Settled
from clearwatt.chain.typed_data import Evidence
from clearwatt.clearing.auction import Marginal
from clearwatt.clearing.positions import Position
from clearwatt.units import INT24_MAX, INT24_MIN, INT32_MAX, INT32_MIN
from tests.offchain.chain.settlements import pack_settled, pack_settlements

MEMBER, CONTRACT = "0x" + "0b" * 20, "0x" + "1c" * 20
prices = st.integers(INT24_MIN, INT24_MAX)
energies = st.integers(INT32_MIN, INT32_MAX)


def table(values: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """[Z][T] values."""
    return st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(
        lambda size: st.tuples(*[st.tuples(*[values] * size[1])] * size[0])
    )


def test_pack_prices__two_zones__zone_major_big_endian() -> None:
    assert codec.pack_prices([[1, -1], [256, INT24_MIN]]).hex() == "000001ffffff000100800000"


@given(table(prices))
def test_prices__any__there_and_back(rows: tuple[tuple[int, ...], ...]) -> None:
    assert codec.unpack_prices(codec.pack_prices(rows), len(rows), len(rows[0])) == rows


def test_pack_imbalance__one_zone__surplus_then_shortage_per_slot() -> None:
    assert codec.pack_imbalance([[1, 2]], [[3, -2]]).hex() == "000001000003000002fffffe"


@given(table(prices))
def test_imbalance__any__there_and_back(rows: tuple[tuple[int, ...], ...]) -> None:
    shortage = [[-1 - price for price in row] for row in rows]
    packed = codec.pack_imbalance(rows, shortage)
    surplus, short = codec.unpack_imbalance(packed, len(rows), len(rows[0]))
    assert np.array_equal(surplus, rows)
    assert np.array_equal(short, shortage)


def test_pack_marginals__both_sides__sixteen_bytes_each() -> None:
    packed = codec.pack_marginals([Marginal(258, 3, "sell", 5, 4), Marginal(258, 3, "buy", 2**47, 0)])
    assert packed.hex() == "0102030000000000000500000000000401020301800000000000000000000000"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1023),
            st.integers(0, 95),
            st.sampled_from(["sell", "buy"]),
            st.integers(0, 2**48 - 1),
            st.integers(0, 2**48 - 1),
        )
    )
)
def test_marginals__any__there_and_back(rows: list[tuple[int, int, str, int, int]]) -> None:
    marginals = tuple(Marginal(*row) for row in rows)
    assert codec.unpack_marginals(codec.pack_marginals(marginals)) == marginals


def test_pack_bids__in_any_order__members_ascending() -> None:
    low, high = Bid(MEMBER, 7, (Step(1, -2, 3),)), Bid("0x" + "C0" * 20, 0, ())
    packed = codec.pack_bids([high, low])
    assert packed.hex() == "0b" * 20 + "00070001" + "01fffffe00000003" + "c0" * 20 + "00000000"


@given(st.lists(st.tuples(prices, st.integers(1, INT32_MAX)), max_size=5), st.integers(0, 1023))
def test_bids__any__there_and_back(steps: list[tuple[int, int]], zone: int) -> None:
    bundle = tuple(Step(slot, *step) for slot, step in enumerate(steps))
    bids = (Bid("0x" + "00" * 19 + "01", zone, bundle), Bid(to_checksum_address(MEMBER), zone, bundle[::2]))
    assert codec.unpack_bids(codec.pack_bids(bids)) == bids


def test_pack_bids__slots_descending__refused() -> None:
    with pytest.raises(BidError, match="slots must not descend"):
        codec.pack_bids([Bid(MEMBER, 0, (Step(1, 1, 1), Step(0, 1, 1)))])


def test_pack_position__negative_cash__zone_cash_and_fills() -> None:
    assert codec.pack_position(Position(2, -1, (1, -2))).hex() == "0002" + "ff" * 8 + "00000001" + "fffffffe"


@given(st.integers(0, 1023), st.integers(-(2**63), 2**63 - 1), st.lists(energies, max_size=96))
def test_position__any__there_and_back(zone: int, cash: int, fills: list[int]) -> None:
    position = Position(zone, cash, tuple(fills))
    assert codec.unpack_position(codec.pack_position(position)) == position


@given(st.lists(energies, max_size=96))
def test_readings__any__there_and_back(readings: list[int]) -> None:
    assert codec.unpack_readings(codec.pack_readings(readings)) == tuple(readings)


def test_pack_signed_bids__two__head_steps_and_signature_each_in_the_order_given() -> None:
    full = codec.SignedBid("0x" + "c0" * 20, 258, 2**40 - 1, bytes(range(16)), b"\xee" * 65)
    empty = codec.SignedBid(MEMBER, 1, 2, b"", b"")
    head = "c0" * 20 + "0102" + "ff" * 5 + "0041" + "0002"
    expected = head + bytes(range(16)).hex() + "ee" * 65 + "0b" * 20 + "0001" + "0000000002" + "00000000"
    assert codec.pack_signed_bids([full, empty]).hex() == expected


def test_seal_commitment__bid__hash_of_six_words() -> None:
    salt, steps = bytes(range(32)), bytes(8)
    words = [31337, int(CONTRACT, 16), 9, int(MEMBER, 16)]
    packed = b"".join(word.to_bytes(32, "big") for word in words) + salt + keccak(steps)
    assert codec.seal_commitment(31337, CONTRACT, 9, MEMBER, salt, steps) == keccak(packed)


def test_pack_delivery__each_kind_of_evidence__member_evidence_and_what_there_is() -> None:
    position, readings, signature = b"\1" * 14, b"\2" * 4, b"\3" * 65
    by_meter = codec.pack_delivery(MEMBER, Evidence.METER, position, readings, signature)
    assert by_meter.hex() == "0b" * 20 + "00" + "01" * 14 + "02" * 4 + "03" * 65
    substituted = codec.pack_delivery(MEMBER, Evidence.SUBSTITUTE, position, readings)
    assert substituted.hex() == "0b" * 20 + "01" + "01" * 14 + "02" * 4
    assert codec.pack_delivery(MEMBER, Evidence.DEEMED, position).hex() == "0b" * 20 + "02" + "01" * 14


def test_pack_listed__each_kind_of_evidence__places_ascending_instead_of_members() -> None:
    position, readings, signature = b"\1" * 14, b"\2" * 4, b"\3" * 65
    packed = codec.pack_delivery(MEMBER, Evidence.METER, position, readings, signature)
    packed += codec.pack_delivery(CONTRACT, Evidence.SUBSTITUTE, position, readings)
    packed += codec.pack_delivery("0x" + "2d" * 20, Evidence.DEEMED, position)
    split = codec.split_deliveries(packed, 1)
    places = dict(zip((member for member, _ in split), (258, 7, 0), strict=True))
    expected = "0000" + "02" + "01" * 14 + "0007" + "01" + "01" * 14 + "02" * 4
    assert codec.pack_listed(split, places).hex() == expected + "010200" + "01" * 14 + "02" * 4 + "03" * 65


@given(st.lists(st.binary(min_size=20, max_size=20).map(to_checksum_address)))
def test_members__any__there_and_back(members: list[str]) -> None:
    assert list(codec.unpack_members(codec.pack_members(members))) == members


SETTLED = Settled(to_checksum_address(MEMBER), Evidence.METER, 3, -1, 2, 258, 2**40 - 1, readings=(-7, 1))


def test_unpack_settlements__a_reading_and_a_deemed_one__every_field_in_its_place() -> None:
    head = "0b" * 20 + "0003" + "ff" * 8 + "00" * 7 + "02" + "0000000102" + "ff" * 5
    deemed = "1c" * 20 + "0200" + "00" * 16 + "00" * 10
    assert codec.unpack_settlements(bytes.fromhex(head + "fffffff900000001" + deemed), 2) == (
        SETTLED,
        Settled(to_checksum_address(CONTRACT), Evidence.DEEMED, 0, 0, 0, 0, 0, readings=()),
    )
    assert pack_settled(SETTLED).hex() == head + "fffffff900000001"


def settlements(slots: int) -> st.SearchStrategy[list[Settled]]:
    """What can be logged of an auction of so many slots."""
    money, energy, source = st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40 - 1), st.integers(0, 255)
    members = st.binary(min_size=20, max_size=20).map(to_checksum_address)
    numbers = (source, money, money, energy, energy)
    readings = st.tuples(*[energies] * slots)
    read = st.builds(
        Settled, members, st.sampled_from([Evidence.METER, Evidence.SUBSTITUTE]), *numbers, readings
    )
    deemed = st.builds(Settled, members, st.just(Evidence.DEEMED), *numbers, st.just(()))
    return st.lists(st.one_of(read, deemed), max_size=4)


@given(st.integers(1, 6).flatmap(lambda slots: st.tuples(st.just(slots), settlements(slots))))
def test_settlements__any__there_and_back(logged: tuple[int, list[Settled]]) -> None:
    slots, settled = logged
    assert list(codec.unpack_settlements(pack_settlements(settled), slots)) == settled


@pytest.mark.parametrize("kept", [1, 20, 21, 47, 48, 55])
def test_unpack_settlements__end_within_one__says_which(kept: int) -> None:
    whole = pack_settled(SETTLED)
    for before in (0, 1):
        data = whole * before + whole[:kept]
        with pytest.raises(CodecError, match=f"end within the one at byte {before * len(whole)}$"):
            codec.unpack_settlements(data, 2)


@pytest.mark.parametrize(
    ("unpack", "sentence"),
    [
        (lambda: codec.unpack_prices(bytes(4), 1, 1), "4 bytes are not a whole number of 3-byte prices"),
        (lambda: codec.unpack_prices(bytes(6), 1, 1), "2 prices do not fill 1 zones of 1 slots"),
        (lambda: codec.unpack_imbalance(bytes(3), 1, 1), "1 prices are not two for each"),
        (lambda: codec.unpack_marginals(bytes(17)), "17 bytes are not a whole number of 16-byte"),
        (lambda: codec.unpack_bids(bytes(23)), "the bids end within the one at byte 0"),
        (lambda: codec.unpack_bids(bytes(24) + bytes(23) + b"\1"), "the bids end within the one at byte 24"),
        (lambda: codec.unpack_position(bytes(9)), "9 bytes are too short for a position"),
        (lambda: codec.unpack_position(bytes(11)), "1 bytes are not a whole number of 4-byte readings"),
        (lambda: codec.unpack_readings(bytes(7)), "7 bytes are not a whole number of 4-byte readings"),
        (lambda: codec.unpack_members(bytes(41)), "41 bytes are not a whole number of 20-byte addresses"),
        (lambda: codec.split_deliveries(bytes(103), 1), "the deliveries end within the one at byte 0"),
        (lambda: codec.split_deliveries(bytes(104) + bytes(20), 1), "end within the one at byte 104"),
        (lambda: codec.split_deliveries(b"\3" * 48, 1), "the delivery at byte 0 is on evidence 3, which"),
        (lambda: codec.unpack_settlements(b"\3" * 48, 1), "the settlement at byte 0 is on evidence 3, which"),
    ],
)
def test_unpack__size_does_not_fit__says_so(unpack: Callable[[], object], sentence: str) -> None:
    with pytest.raises(CodecError, match=sentence):
        unpack()
