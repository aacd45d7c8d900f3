"""What a market cannot be deployed with."""

from dataclasses import replace
from typing import Any

import pytest

from clearwatt.chain.deployment import MarketConfig, pack_grid, pack_line, unpack_grid
from clearwatt.grid import Line
from tests.contracts.community import FEEDERS, Community
from tests.contracts.market.records import LOCK_UNIT, MAX_LOCK
from tests.contracts.refusals import Refusal, creation_refusal

NOBODY = "0x" + 40 * "0"


def refusal_of(project: Any, config: MarketConfig, grid: list[int] | None = None) -> Refusal | None:
    lines = pack_grid(FEEDERS) if grid is None else grid
    return creation_refusal(project.Registry, config.owner, config.registry_parameters(), lines)


def test_construction__sound_parameters__accepted(project: Any, community: Community) -> None:
    assert refusal_of(project, community.config) is None


def test_grid__deployed__read_back_and_logged(community: Community) -> None:
    assert unpack_grid(list(community.registry.grid())) == FEEDERS
    assert community.registry.zones() == 4
    receipt = community.registry.creation_metadata.receipt
    logged = [
        (e.zone, e.parent, e.exportLimit, e.importLimit, e.fee)
        for e in community.registry.ZoneAdded.from_receipt(receipt)
    ]
    feeders = zip(FEEDERS.parents, FEEDERS.lines, strict=True)
    assert logged[1:] == [
        (zone, parent, line.export_limit, line.import_limit, line.fee)
        for zone, (parent, line) in list(enumerate(feeders))[1:]
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slot_seconds": 0}, "a slot takes no time"),
        ({"slots": 0}, "slots not in 1..96"),
        ({"slots": 97}, "slots not in 1..96"),
        ({"genesis": 1_800_000_001}, "genesis off the slot grid"),
        ({"clearing_window": 0}, "no time to clear"),
        ({"genesis": 900, "horizon": 1}, "bids would open before time began"),
    ],
)
def test_schedule__impossible__refused(
    project: Any, community: Community, changes: dict[str, int], reason: str
) -> None:
    config = with_changes(community.config, schedule=replace(community.config.schedule, **changes))
    assert refusal_of(project, config) == ("ScheduleImpossible", reason)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"min_price": 1, "max_price": 0}, ("PricesImpossible", 1, 0)),
        ({"min_quantity": 0}, ("LimitsImpossible",)),
        ({"min_quantity": 2**31}, ("LimitsImpossible",)),
        ({"ring_size": 1, "horizon": 86_400}, ("RingTooSmall",)),
        ({"balancing_party": NOBODY}, ("AccountMissing",)),
        ({"network_account": NOBODY}, ("AccountMissing",)),
        ({"owner": NOBODY}, ("OwnableInvalidOwner", NOBODY)),
    ],
)
def test_parameters__impossible__refused(
    project: Any, community: Community, changes: dict[str, Any], refusal: Refusal
) -> None:
    assert refusal_of(project, with_changes(community.config, **changes)) == refusal


def with_changes(config: MarketConfig, **changes: Any) -> MarketConfig:
    """The configuration with these values as they are, even those it would replace by a default."""
    changed = replace(config)
    for name, value in changes.items():
        object.__setattr__(changed, name, value)
    return changed


def test_ring__shorter_than_the_horizon__refused(project: Any, community: Community) -> None:
    schedule = community.config.schedule
    spanned = schedule.horizon // (schedule.slots * schedule.slot_seconds)
    assert refusal_of(project, replace(community.config, ring_size=spanned)) is None
    assert refusal_of(project, replace(community.config, ring_size=spanned - 1)) == ("RingTooSmall",)
    longer = replace(schedule, horizon=schedule.horizon + 1)
    config = replace(community.config, schedule=longer, ring_size=spanned, owner_delay=longer.life)
    assert refusal_of(project, config) == ("RingTooSmall",)


def test_owner_delay__shorter_than_an_auctions_life__refused(project: Any, community: Community) -> None:
    life = community.config.schedule.life
    assert refusal_of(project, replace(community.config, owner_delay=life)) is None
    answer = refusal_of(project, replace(community.config, owner_delay=life - 1))
    assert answer == ("DelayTooShort", life - 1, life)


def test_seal_deposit__more_than_a_record_holds__market_refused(
    project: Any, community: Community, owner: Any
) -> None:
    most = MAX_LOCK
    for deposit, expected in [(most, None), (most + 1, ("DepositTooLarge", most + LOCK_UNIT))]:
        config = replace(community.config, seal_deposit=deposit)
        arguments = (config.owner, config.registry_parameters(), pack_grid(FEEDERS))
        registry = owner.deploy(project.Registry, *arguments)
        answer = creation_refusal(project.Market, registry.address, community.vault.address)
        assert answer == expected


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ([], ("GridEmpty",)),
        ([0] * 1025, ("GridTooLarge", 1025)),
        ([0, pack_line(1, Line())], ("ParentNotBelow", 1, 1)),
        ([0, 0, pack_line(7, Line())], ("ParentNotBelow", 2, 7)),
    ],
    ids=["empty", "too large", "own parent", "parent after child"],
)
def test_grid__no_tree__refused(
    project: Any, community: Community, lines: list[int], refusal: Refusal
) -> None:
    assert refusal_of(project, community.config, lines) == refusal
