"""What everybody must have, to the unit: the vault's bookkeeping written a second time, in plain sums."""

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass
class Entry:
    """One account, money units. claim: what the balancing party still owes it."""

    balance: int = 0
    locked: int = 0
    debt: int = 0
    claim: int = 0

    @property
    def free(self) -> int:
        return self.balance - self.locked


@dataclass
class Ledger:
    """All accounts.

    party: the balancing party's address. network: who earns fees and congestion rent. clearing: what contracts have
    paid in less what they have paid out.
    """

    party: str
    network: str
    clearing: int = 0
    held: int = 0
    entries: defaultdict[str, Entry] = field(default_factory=lambda: defaultdict(Entry))

    def __getitem__(self, account: str) -> Entry:
        return self.entries[account]

    def affords(self, account: str, previous: int, lock: int) -> bool:
        return lock <= previous or lock - previous <= self[account].free

    def relock(self, account: str, previous: int, lock: int) -> None:
        self[account].locked += lock - previous

    def unlock(self, account: str, lock: int) -> None:
        self[account].locked -= lock
        self._repay(account)

    def forfeit(self, account: str, lock: int) -> None:
        self[account].locked -= lock
        self[account].balance -= lock
        self[self.party].balance += lock

    def deposit(self, account: str, money: int) -> None:
        self.held += money
        self[account].balance += money
        self._repay(account)

    def withdraw(self, account: str, money: int) -> None:
        self.held -= money
        self[account].balance -= money

    def pay_network(self, money: int) -> None:
        self.clearing -= money
        self[self.network].balance += money

    def settle(self, account: str, lock: int, cash: int, imbalance: int) -> None:
        """One member's auction: its lock comes back, its contracts are paid, then its imbalance."""
        entry = self[account]
        entry.locked -= lock
        entry.balance += cash
        self.clearing -= cash
        if account == self.party:
            return
        if imbalance < 0:
            paid = min(-imbalance, entry.free)
            entry.balance -= paid
            entry.debt += -imbalance - paid
            self[self.party].balance += paid
        else:
            self._credit(account, imbalance)
        self._repay(account)

    def collect(self, account: str) -> None:
        owed, self[account].claim = self[account].claim, 0
        self._credit(account, owed)
        self._repay(account)

    def _credit(self, account: str, money: int) -> None:
        paid = min(money, self[self.party].free)
        self[self.party].balance -= paid
        self[account].balance += paid
        self[account].claim += money - paid

    def _repay(self, account: str) -> None:
        entry = self[account]
        paid = min(entry.debt, entry.free)
        entry.debt -= paid
        entry.balance -= paid
        self[self.party].balance += paid
