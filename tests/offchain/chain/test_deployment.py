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
