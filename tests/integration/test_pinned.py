"""A market read some blocks below the newest, on a chain that changes its newest blocks."""

import pytest

from clearwatt.chain.market import MarketClient
from clearwatt.chain.node import connect
from tests.integration.street import BIDS, ORACLE, SECOND_ORACLE, Street

DEPTH = 3


@pytest.fixture
def client(street: Street) -> MarketClient:
    return MarketClient(connect(street.url), street.deployment, depth=DEPTH)


def mine(street: Street, blocks: int = 1) -> None:
    for _ in range(blocks):
        ask(street, "evm_mine")


def ask(street: Street, method: str, *arguments: object) -> None:
    answer = street.client.web3.provider.make_request(method, list(arguments))  # type: ignore[arg-type]
    assert "error" not in answer, answer


def test_pinned__bids_in_the_newest_blocks__known_to_the_view_and_pinned_only_when_deep_enough(
    street: Street, client: MarketClient
) -> None:
    street.bid(0)
    head = street.client.view()
    pinned, ahead = client.pinned(), client.view()
    assert pinned.reference.number == head.reference.number - DEPTH
    assert (pinned.auctions, ahead.reference, ahead.auctions) == ({}, head.reference, head.auctions)
    mine(street, DEPTH)
    assert client.pinned() is pinned
    assert (pinned.reference, pinned.auctions) == (head.reference, head.auctions)
    assert list(pinned.auctions[0].bids) == [street.address(name) for name in BIDS]


def test_pinned__shallow_reorganisation__pinned_view_stays_and_the_undone_bids_are_gone(
    street: Street, client: MarketClient
) -> None:
    mine(street, 2 * DEPTH)
    pinned = client.pinned()
    street.bid(0)
    assert list(client.view().auctions) == [0]
    ask(street, "anvil_reorg", 2, [])
    mine(street)
    assert client.view().auctions == {}
    assert client.pinned() is pinned


def test_pinned__reorganisation_below_it__read_anew_as_whoever_starts_now_reads_it(
    street: Street, client: MarketClient
) -> None:
    mine(street, 2)
    street.bid(0)
    mine(street, DEPTH)
    undone = client.pinned()
    assert list(undone.auctions) == [0]
    ask(street, "anvil_reorg", DEPTH + 2, [])
    mine(street, DEPTH)
    again = client.pinned()
    assert again is not undone
    assert again.auctions == {}
    assert again == MarketClient(connect(street.url), street.deployment, depth=DEPTH).pinned()


def test_office__of_the_pinned_view__as_the_contract_names_it(street: Street, client: MarketClient) -> None:
    office = client.pinned().office
    assert office is not None
    assert set(office.signers) == {ORACLE.address, SECOND_ORACLE.address}
    assert office.term == client.term()
    assert office.threshold == client.quorum.functions.threshold().call()
