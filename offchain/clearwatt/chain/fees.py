"""What a transaction offers per gas: by what others paid of late, within the operator's limits."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from web3 import Web3
from web3.exceptions import Web3Exception

GWEI = 10**9
HISTORY_BLOCKS = 20
PERCENTILE = 50.0
TIP_SECONDS = 10.0
"""For how long a tip read from the fee history is good."""


class FeeAboveCap(Exception):
    """Gas costs more than the operator is willing to pay at present; it has to be waited."""


@dataclass(frozen=True)
class FeeLimits:
    """In wei per gas. max_fee: base fee and tip together, None = no limit. The tip stays within the other two."""

    max_fee: int | None = None
    min_priority: int = 0
    max_priority: int = 100 * GWEI


class FeeMarket:
    """What to offer at present."""

    def __init__(self, web3: Web3, limits: FeeLimits) -> None:
        self._web3 = web3
        self._limits = limits
        self._tip = 0
        self._tip_read = -TIP_SECONDS

    def offer(self) -> dict[str, int]:
        """The transaction's fee fields: twice the base fee, so that it holds for some blocks, but never above the cap.

        A chain without base fee takes a plain gas price. Raises FeeAboveCap, and whatever web3 raises.
        """
        base = self._web3.eth.get_block("latest").get("baseFeePerGas")
        if base is None:
            price = max(int(self._web3.eth.gas_price), self._limits.min_priority)
            self._require_below_cap(price, "gas price")
            return {"gasPrice": price}
        self._require_below_cap(base + self._limits.min_priority, "base fee")
        tip = self._usual_tip()
        cap = self._limits.max_fee
        if cap is not None:
            tip = min(tip, cap - base)
        most = 2 * base + tip
        return {"maxFeePerGas": most if cap is None else min(most, cap), "maxPriorityFeePerGas": tip}

    def raised(self, fields: Mapping[str, int]) -> dict[str, int]:
        """An offer that nodes take in another's place: an eighth above it, or today's if that is more.

        Raises FeeAboveCap if the cap does not allow it.
        """
        today = self.offer()
        names = [name for name in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas") if name in fields]
        offer = {name: max(eighth_more(fields[name]), today.get(name, 0)) for name in names}
        most = offer.get("maxFeePerGas", offer.get("gasPrice", 0))
        self._require_below_cap(most, "replacement's fee")
        return offer

    def _require_below_cap(self, fee: int, what: str) -> None:
        cap = self._limits.max_fee
        if cap is not None and fee > cap:
            raise FeeAboveCap(f"the {what} of {in_gwei(fee)} gwei is above the cap of {in_gwei(cap)} gwei")

    def _usual_tip(self) -> int:
        if time.monotonic() - self._tip_read >= TIP_SECONDS:
            tip = self._paid_of_late()
            self._tip = max(self._limits.min_priority, min(tip, self._limits.max_priority))
            self._tip_read = time.monotonic()
        return self._tip

    def _paid_of_late(self) -> int:
        """The median of what the blocks of late were given; the node's own advice where there is no such history."""
        try:
            history = self._web3.eth.fee_history(HISTORY_BLOCKS, "latest", [PERCENTILE])
        except Web3Exception:  # a node that does not keep one
            return int(self._web3.eth.max_priority_fee)
        rewards = history.get("reward") or []
        paid = [
            row[0] for row, full in zip(rewards, history["gasUsedRatio"], strict=False) if row and full > 0
        ]
        return int(statistics.median_low(paid)) if paid else int(self._web3.eth.max_priority_fee)


def eighth_more(fee: int) -> int:
    """12.5 % more, rounded up, and at least 1 wei: what nodes ask for when a transaction is to replace another."""
    return fee + max(-(-fee // 8), 1)


def in_gwei(wei: Any) -> str:
    return f"{wei / GWEI:g}"
