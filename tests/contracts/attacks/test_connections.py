"""Connections: contracts that are told once, for good, who may call them."""

from typing import Any

from eth_utils import keccak

from clearwatt.chain import codec
from tests.contracts.community import Community
from tests.contracts.day import Day
from tests.contracts.refusals import refusal


def connections(market: Community, other: str) -> list[tuple[Any, tuple[str, ...]]]:
    """Every contract's `connect` with somebody else's address in it."""
    return [
        (market.registry.connect, (other,)),
        (market.vault.connect, (other,) * 4),
        (market.market.connect, (other,) * 2),
        (market.quorum.connect, (other,)),
        (market.token.connect, (other,)),
    ]


def test_connect__by_a_stranger__refused(market: Community, stranger: Any) -> None:
    """A stranger connects the contracts to its own."""
    for connect, others in connections(market, stranger.address):
        assert refusal(connect, *others, sender=stranger) == ("NotConnectedCaller", stranger.address)


def test_connect__by_the_deployer_again__refused(market: Community, stranger: Any) -> None:
    """A deployer connects the contracts to its own once people have deposited."""
    for connect, others in connections(market, stranger.address):
        assert refusal(connect, *others, sender=market.owner) == ("AlreadyConnected",)


def test_connect__before_the_deployer__refused(
    project: Any, owner: Any, market: Community, stranger: Any
) -> None:
    """A stranger is quicker than the deployer to connect a contract that was just deployed."""
    token = owner.deploy(project.EnergyToken, "")
    assert refusal(token.connect, stranger, sender=stranger) == ("NotConnectedCaller", stranger.address)
    vault = owner.deploy(project.Vault, market.testeuro.address, market.registry.address)
    refused = refusal(vault.connect, *[stranger] * 4, sender=stranger)
    assert refused == ("NotConnectedCaller", stranger.address)


def test_market__accepts_a_clearing_of_others__refused(day_closed: Day, stranger: Any) -> None:
    """A stranger has the market accept a result that nobody has checked."""
    market = day_closed.market.market
    refused = ("NotConnectedCaller", stranger.address)
    assert refusal(market.accept, 0, bytes(32), b"", sender=stranger) == refused
    assert refusal(market.acceptChunked, 0, bytes(32), sender=stranger) == refused
    assert refusal(market.enterPositions, 0, bytes(52), sender=stranger) == refused


def test_market__spends_for_others__refused(day_delivered: Day, stranger: Any) -> None:
    """A stranger marks positions spent and claims drawn, past settlement."""
    market = day_delivered.market
    member = market.participants[1]
    position = codec.pack_position(day_delivered.position(member))
    refused = ("NotConnectedCaller", stranger.address)
    entry = bytes.fromhex(member.address[2:]) + bytes(keccak(position)) + bytes(32)
    assert refusal(market.market.spend, 0, entry, sender=stranger) == refused
    assert refusal(market.market.draw, 0, member.address, bytes(32), sender=stranger) == refused


def test_vault__books_for_others__refused(market: Community, stranger: Any) -> None:
    """A stranger books itself a settlement, or pays the network out of nothing."""
    refused = ("NotConnectedCaller", stranger.address)
    payment = bytes.fromhex(stranger.address[2:]) + (10**8).to_bytes(8, "big") + bytes(8)
    assert refusal(market.vault.settle, payment, [0], sender=stranger) == refused
    assert refusal(market.vault.payNetwork, 10**8, sender=stranger) == refused
    assert refusal(market.vault.seat, stranger, 0, True, sender=stranger) == refused


def test_token__minted_by_others__refused(market: Community, stranger: Any) -> None:
    """A stranger or the owner mints energy that no meter has seen."""
    for caller in (stranger, market.owner):
        answer = refusal(market.token.mint, caller, 1, 1, sender=caller)
        assert answer == ("NotConnectedCaller", caller.address)
