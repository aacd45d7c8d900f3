"""The calendar, the words a grid is packed in, and the file that says where a market lives."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clearwatt.chain.deployment import (
    CONTRACTS,
    Deployed,
    Deployment,
    MarketConfig,
    Schedule,
    pack_grid,
    read_deployment,
    source_hash,
    unpack_grid,
    write_deployment,
)
from clearwatt.errors import UserError
from clearwatt.grid import NO_LIMIT, Grid, Line
from clearwatt.units import INT24_MAX

SCHEDULE = Schedule(genesis=1_000_000_800)  # auctions of one hour


def test_schedule__auction__points_in_time() -> None:
    assert SCHEDULE.delivery_start(2) == 1_000_008_000
    assert SCHEDULE.delivery_end(2) == SCHEDULE.delivery_start(3) == 1_000_011_600
    assert SCHEDULE.gate_closure(2) == 1_000_008_000 - 900
    assert SCHEDULE.opening(2) == 1_000_008_000 - 900 - 86_400
    assert SCHEDULE.clearing_deadline(2) == 1_000_008_000
    assert SCHEDULE.metering_deadline(2) == 1_000_011_600 + 3_600
    assert SCHEDULE.substitute_deadline(2) == 1_000_011_600 + 3_600 + 86_400
    assert SCHEDULE.deemed_from(2) == 1_000_011_600 + 3_600 + 86_400 + 3_600 + 86_400


def test_schedule__open_bids__cleared_from_gate_closure() -> None:
    assert not SCHEDULE.sealed
    assert SCHEDULE.clearing_start(2) == SCHEDULE.gate_closure(2)


def test_schedule__sealed_bids__cleared_when_they_could_be_opened() -> None:
    schedule = replace(SCHEDULE, reveal_window=300)
    assert schedule.sealed
    assert schedule.clearing_start(2) == schedule.gate_closure(2) + 300
    assert schedule.clearing_deadline(2) == schedule.gate_closure(2) + 300 + 900


def test_schedule__life__from_opening_until_deemed_readings_apply() -> None:
    # as ScheduleLib.life: horizon, gate lead, delivery and the four windows after it
    assert SCHEDULE.life == 86_400 + 900 + 4 * 900 + 3_600 + 86_400 + 3_600 + 86_400


# ------------------------------------------------------------------------------------------ the terms


def config(**changes: Any) -> MarketConfig:
    parties = {"owner": "0x01", "balancing_party": "0x02", "network_account": "0x03", "signers": ()}
    return MarketConfig(**{"schedule": SCHEDULE, "grid": Grid.single(), **parties, **changes})


def test_market_config__nothing_said_of_limits__any_auction_fits_one_transaction_and_one_more_member_does_not() -> (
    None
):
    for schedule in (SCHEDULE, replace(SCHEDULE, slots=96), replace(SCHEDULE, slots=1)):
        terms = config(schedule=schedule)
        assert terms.max_steps == max(2 * schedule.slots, 8)
        assert terms.fits_one_transaction
        assert not replace(terms, max_members=terms.max_members + 1).fits_one_transaction


def test_market_config__limits_named__kept() -> None:
    terms = config(max_steps=3, max_members=60_000, owner_delay=10**6)
    assert (terms.max_steps, terms.max_members, terms.owner_delay) == (3, 60_000, 10**6)
    assert not terms.fits_one_transaction


def test_market_config__owner_delay_left_open__an_auctions_life() -> None:
    assert config().owner_delay == SCHEDULE.life


@pytest.mark.parametrize("seconds", [7, 900, 3_600])
def test_market_config__ring_left_open__spans_an_auctions_life_and_no_more(seconds: int) -> None:
    schedule = replace(SCHEDULE, slots=1, slot_seconds=seconds, horizon=7_200, substitute_window=3_600)
    ring = config(schedule=schedule).ring_size
    assert schedule.opening(ring) >= schedule.deemed_from(0) > schedule.opening(ring - 1)


def test_market_config__ring_left_open_and_slots_of_a_second__as_large_as_a_market_can_have() -> None:
    schedule = replace(SCHEDULE, slots=1, slot_seconds=1)
    assert config(schedule=schedule).ring_size == 2**16 - 1


def test_registry_parameters__all_different__in_the_struct_s_order() -> None:
    terms = config(
        schedule=Schedule(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
        min_quantity=12,
        max_steps=13,
        max_members=14,
        min_price=15,
        max_price=16,
        imbalance_margin=17,
        ring_size=18,
        seal_deposit=19,
        dispute_bond=20,
        owner_delay=21,
    )
    assert terms.registry_parameters() == (
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
        (12, 13, 14),
        *range(15, 22),
        "0x02",
        "0x03",
    )


def test_pack_grid__line__one_word_with_every_field_in_its_place() -> None:
    [_, word] = pack_grid(Grid((-1, 0), (Line(), Line(1, 2, 3))))
    assert word == 3 << 128 | 1 << 64 | 2


def test_grid__extremes__there_and_back() -> None:
    lines = (Line(), Line(0, NO_LIMIT, INT24_MAX), Line(NO_LIMIT, 0, 0), Line(1, 2, 3))
    grid = Grid((-1, 0, 1, 2), lines)
    assert unpack_grid(pack_grid(grid)) == grid


# ------------------------------------------------------------------------------------------ the file


def deployment() -> Deployment:
    contracts = {
        name: Deployed(
            "0x" + 40 * str(block),
            (1, "two", [3]),
            "0x" + 64 * "a",
            block,
            [{"type": "constructor", "name": name}],
        )
        for block, name in enumerate(CONTRACTS, start=2)
    }
    return Deployment("devnet", 31338, {"name": "solc", "version": "0.8.30"}, "ab" * 32, contracts)


def test_deployment__written__read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "devnet.json"
    write_deployment(deployment(), path)
    read, written = read_deployment(path), deployment()
    assert replace(read, contracts={}) == replace(written, contracts={})
    for name in CONTRACTS:
        assert read[name] == replace(written[name], arguments=read[name].arguments)
        assert list(read[name].arguments) == [1, "two", [3]]
    assert read.first_block == 2
    assert list(path.parent.iterdir()) == [path]


def test_deployment__written_again__replaces_the_file(tmp_path: Path) -> None:
    path = tmp_path / "devnet.json"
    path.write_text("old")
    write_deployment(deployment(), path)
    assert json.loads(path.read_text())["chain_id"] == 31338


def test_read_deployment__no_file__says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"devnet\.json: no such deployment; `ape run deploy` writes it"):
        read_deployment(tmp_path / "devnet.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"contracts": {"Market": {}}}', '{"contracts": 3}', "{"])
def test_read_deployment__something_else__says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "devnet.json"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a deployment file"):
        read_deployment(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"address": "0x12"}, "Market has the address '0x12'"),
        ({"block": -1}, "Market has the block -1"),
        ({"block": "7"}, "Market has the block '7'"),
        ({"abi": [{"name": "bid"}]}, "Market has no ABI"),
    ],
    ids=["address", "block below zero", "block no number", "abi"],
)
def test_read_deployment__entry_makes_no_sense__says_which(
    tmp_path: Path, change: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "devnet.json"
    contracts = deployment().contracts
    contracts["Market"] = replace(contracts["Market"], **change)
    write_deployment(replace(deployment(), contracts=contracts), path)
    with pytest.raises(UserError, match=sentence):
        read_deployment(path)


def test_read_deployment__contract_missing__names_it(tmp_path: Path) -> None:
    path = tmp_path / "devnet.json"
    kept = {
        name: entry for name, entry in deployment().contracts.items() if name not in ("Vault", "TestEuro")
    }
    write_deployment(replace(deployment(), contracts=kept), path)
    with pytest.raises(UserError, match="not a whole deployment: Vault is missing"):
        read_deployment(path)


def test_source_hash__any_change__changes_it(tmp_path: Path) -> None:
    (tmp_path / "libraries").mkdir()
    (tmp_path / "Market.sol").write_text("contract Market {}")
    (tmp_path / "notes.txt").write_text("not a source")
    first = source_hash(tmp_path)
    (tmp_path / "notes.txt").write_text("still none")
    assert source_hash(tmp_path) == first
    (tmp_path / "libraries" / "Steps.sol").write_text("library Steps {}")
    second = source_hash(tmp_path)
    (tmp_path / "Market.sol").write_text("contract Market { }")
    assert len({first, second, source_hash(tmp_path)}) == 3
