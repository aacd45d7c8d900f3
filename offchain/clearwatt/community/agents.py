"""What members bid.

Where one canonical price clears the market, a member does best by bidding what energy is worth to it. One Wh
more or less in its position is worth what the retailer would charge or pay for it, and which of the two
depends on what its meter will read: with F(x) the chance of a reading below x, the Wh at position x is worth

    export price + (import price - export price) * F(x)

(the newsvendor's rule: a seller who promised too much buys back at the import price, one who promised too
little is left with the export price). Two quantiles of the week before make this curve two steps.
"""

from collections.abc import Iterator, Sequence

from clearwatt.bids import Step, check_steps
from clearwatt.community.tariff import Tariff
from clearwatt.errors import UserError


def member_steps(low: Sequence[int], high: Sequence[int], tariff: Tariff) -> tuple[Step, ...]:
    """A household's bundle, at most two steps per slot; empty where it expects to be at 0.

    low, high: net Wh per slot of the auction, positive = injection, low <= high (`likely_range`).
        F is taken as 0 below low, 1/2 between them, 1 above high. The same forecast twice is a plain bid:
        buy it at the import price or below, sell it at the export price or above.
    tariff: of the same slots.
    """
    slots = zip(low, high, tariff.import_price, tariff.export_price, strict=True)
    steps = tuple(
        Step(slot, price, int(quantity))
        for slot, (least, most, dear, cheap) in enumerate(slots)
        for price, quantity in _curve(least, most, dear, cheap)
        if quantity
    )
    check_steps(steps)
    return steps


def retailer_steps(tariff: Tariff, quantity: int, network_fee: int = 0) -> tuple[Step, ...]:
    """The retailer's bundle: in every slot it sells at its import price and buys at its export price.

    quantity: Wh per slot and direction; more than the members could ever trade (`Community.peak_wh`).
    network_fee: ticks per Wh that the lines between it and the members charge (`Community.network_fee`). Its
        tariff is what members pay where they are, so upstream it asks and offers that much less and more.
    Raises UserError where the fee leaves the retailer nothing between the two prices.
    """
    if any(dear - cheap < 2 * network_fee for dear, cheap in _pairs(tariff)):
        raise UserError(f"the lines' fees, {network_fee} ticks per Wh, eat up the retailer's whole margin")
    steps = tuple(
        step
        for slot, (dear, cheap) in enumerate(_pairs(tariff))
        for step in (Step(slot, dear - network_fee, quantity), Step(slot, cheap + network_fee, -quantity))
    )
    check_steps(steps)
    return steps


def _pairs(tariff: Tariff) -> Iterator[tuple[int, int]]:
    return zip(tariff.import_price, tariff.export_price, strict=True)


def _curve(low: int, high: int, dear: int, cheap: int) -> tuple[tuple[int, int], ...]:
    """Price and quantity of each piece of one slot's curve, those of 0 Wh included."""
    middle = (dear + cheap) // 2
    return (
        (dear, min(high, 0)),
        (middle, min(low, 0) - min(high, 0)),
        (middle, max(high, 0) - max(low, 0)),
        (cheap, max(low, 0)),
    )
