"""The coordinator's side of a run: asks, waits, checks what comes, adds it up, and says who broke what.

It knows the members' names, zones and public keys, and of their answers the sum per zone. A member that is
late, gone, refuses or sends what is not an answer is left out from then on, or ends the run: see `Policy`.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from clearwatt.dispatch.distributed.messages import NUMBERS, WORDS, Malformed, Message, decode
from clearwatt.dispatch.distributed.secure_sum import LEAST, unmask
from clearwatt.dispatch.distributed.transport import GONE, Transport
from clearwatt.dispatch.errors import DispatchError

log = logging.getLogger(__name__)

Policy = Literal["continue", "stop"]
DEGREE = 16
LARGEST = 1e18
"""No sum of kWh, currency or sensitivities of a community is larger; one that is was made by a liar under its mask."""


class Broken(DispatchError):
    """The run ended; the message names the member and what it did."""


@dataclass(frozen=True)
class Fault:
    """Who did what, in which round."""

    member: str
    what: str
    round: int

    def __str__(self) -> str:
        return f"{self.member} {self.what} (round {self.round})"


@dataclass
class Rules:
    """How a run is held.

    masked: add answers under masks; otherwise the coordinator sees each. degree: with how many others a member
        shares masks at most. patience: seconds to wait for answers. policy: go on without whoever breaks the
        rules, or stop.
    """

    masked: bool = True
    degree: int = DEGREE
    patience: float = 30.0
    policy: Policy = "continue"
    faults: list[Fault] = field(default_factory=list)


class Coordinator:
    """Asks the members of a community for sums. members: their names, with their zones."""

    def __init__(self, transport: Transport, members: Mapping[str, int], rules: Rules | None = None) -> None:
        self._transport, self.rules = transport, rules or Rules()
        self._zones, self._live = dict(members), list(members)
        self._round = 0
        self.rounds = 0
        self._introduce()

    @property
    def faults(self) -> list[Fault]:
        """What went wrong so far."""
        return self.rules.faults

    def members(self, zone: int) -> list[str]:
        """Those still in the run."""
        return [name for name in self._live if self._zones[name] == zone]

    def sums(self, task: str, rows: np.ndarray, size: int, **fields: float | bool) -> np.ndarray:
        """One round: every member does a task on its zone's rows; the sums per zone, [Z, size].

        rows: [Z, k, T]. fields: more that goes with the task.
        Raises Broken where the rules say so, or where too few members of a zone are left to be added up.
        """
        self.rounds += 1
        total = np.zeros((len(rows), size))
        for zone, of_zone in self._all_zones(task, rows, size, fields).items():
            total[zone] = of_zone
        return total

    def _introduce(self) -> None:
        found = self._exchange({name: Message("hello") for name in self._live}, self._check_hello)
        keys = {name: message.fields["key"] for name, message in found.items()}
        groups = {}
        for name in self._live:
            near = {other: keys[other] for other in self.members(self._zones[name])}
            fields = {"keys": near, "degree": self.rules.degree, "masked": self.rules.masked}
            groups[name] = Message("group", fields)
        self._exchange(groups, lambda name, message: message.expect("ready"))

    def _check_hello(self, name: str, message: Message) -> None:
        message.expect("member")
        if message.fields.get("zone") != self._zones[name]:
            raise Malformed("says that it is in another zone")
        _bytes_of(message.fields.get("key"), 33)

    def _all_zones(
        self, task: str, rows: np.ndarray, size: int, fields: Mapping[str, Any]
    ) -> dict[int, np.ndarray]:
        """Sums by zone; a zone where somebody fell silent too late, or lied, is asked again without it."""
        waiting, done = {zone for zone in range(len(rows)) if self.members(zone)}, {}
        while waiting:
            groups = {zone: self.members(zone) for zone in waiting if self.members(zone)}
            found = self._ask(task, rows, size, fields, groups)
            for zone, total in found.items():
                if total is not None and _plausible(total):
                    done[zone] = total
                elif total is not None:
                    self._trace(task, rows, size, fields, zone, groups[zone])
            waiting = {zone for zone in waiting - set(done) if self.members(zone)}
        return done

    def _ask(
        self,
        task: str,
        rows: np.ndarray,
        size: int,
        fields: Mapping[str, Any],
        groups: Mapping[int, Sequence[str]],
    ) -> dict[int, np.ndarray | None]:
        """The sums of groups of members, by zone; None where one has to be asked for again."""
        self._round += 1
        masked = self.rules.masked
        asks = {}
        for zone, names in groups.items():
            if masked and len(names) < LEAST:
                raise Broken(
                    f"only {len(names)} members are left in zone {zone}: a sum would show what each does"
                )
            about = {"round": self._round, "task": task, "members": list(names) if masked else [], **fields}
            asks.update(dict.fromkeys(names, Message("ask", about, rows[zone])))
        shape, dtype = ((size, 2), WORDS) if masked else ((size,), NUMBERS)

        def check(_: str, message: Message) -> None:
            message.expect("answer", shape, dtype)
            if not masked and np.abs(message.array).max(initial=0) > LARGEST:
                raise Malformed("sends numbers out of all proportion")

        answers = self._exchange(asks, check)
        arrays = {name: message.array for name, message in answers.items()}
        if masked:
            return self._unmask(groups, arrays)
        return {zone: sum(arrays[n] for n in names if n in arrays) for zone, names in groups.items()}

    def _unmask(
        self, groups: Mapping[int, Sequence[str]], words: Mapping[str, np.ndarray]
    ) -> dict[int, np.ndarray | None]:
        answered = {zone: [name for name in names if name in words] for zone, names in groups.items()}
        totals: dict[int, np.ndarray | None] = dict.fromkeys(groups)
        enough = {zone: names for zone, names in answered.items() if len(names) >= LEAST}
        asks = {
            name: Message("reveal", {"round": self._round, "answered": names})
            for names in enough.values()
            for name in names
        }
        seeds = self._exchange(asks, lambda _, message: _seeds(message))
        for zone, names in enough.items():
            if all(name in seeds for name in names):
                told = {name: _seeds(seeds[name]) for name in names}
                own, shared = ({name: told[name][part] for name in names} for part in range(2))
                totals[zone] = unmask({name: words[name] for name in names}, own, shared)
        return totals

    def _trace(
        self,
        task: str,
        rows: np.ndarray,
        size: int,
        fields: Mapping[str, Any],
        zone: int,
        names: Sequence[str],
    ) -> None:
        """Find a group, as small as masks allow, whose sum can't be true, and leave it out: one of them lies."""
        group = sorted(name for name in names if name in self._live)  # neighbours on the ring stay together
        while len(group) >= 2 * LEAST:
            halves = group[: len(group) // 2], group[len(group) // 2 :]
            for half in halves:
                total = self._ask(task, rows, size, fields, {zone: half})[zone]
                if total is None or not _plausible(total):
                    group = [name for name in half if name in self._live]
                    break
            else:
                return
        everybody = ", ".join(group)
        for name in group:
            self._fault(name, f"is in a group whose sum can't be true, with {everybody}")

    def _exchange(
        self, messages: Mapping[str, Message], check: Callable[[str, Message], object]
    ) -> dict[str, Message]:
        """Send, and wait for one good answer from each; whoever has none is at fault."""
        for name, message in messages.items():
            self._transport.send(name, message.encode())
        deadline = time.monotonic() + self.rules.patience
        waiting, answers = set(messages), {}
        while waiting and (received := self._transport.receive(deadline - time.monotonic())) is not None:
            name, data = received
            if name not in waiting:
                if data == GONE and name in self._live:
                    self._fault(name, "is gone")
                continue
            try:
                message = self._current(data)
                if message is None:
                    continue
                check(name, message)
                answers[name] = message
            except Malformed as error:
                self._fault(name, str(error))
            waiting.discard(name)
        for name in sorted(waiting & set(self._live)):
            self._fault(name, f"has not answered within {self.rules.patience:g} s")
        return {name: message for name, message in answers.items() if name in self._live}

    def _current(self, data: bytes) -> Message | None:
        """A message, unless it belongs to a round that is over."""
        if data == GONE:
            raise Malformed("is gone")
        message = decode(data)
        return None if message.fields.get("round", self._round) != self._round else message

    def _fault(self, name: str, what: str) -> None:
        fault = Fault(name, what, self._round)
        self.rules.faults.append(fault)
        log.warning("%s", fault)
        if name in self._live:
            self._live.remove(name)
        if self.rules.policy == "stop":
            raise Broken(f"the run stopped: {fault}")


def _plausible(total: np.ndarray) -> bool:
    return bool(np.isfinite(total).all() and np.abs(total).max(initial=0) < LARGEST)


def _seeds(message: Message) -> tuple[bytes, dict[str, bytes]]:
    message.expect("seeds")
    shared = message.fields.get("shared")
    if not isinstance(shared, dict):
        raise Malformed("sends no seeds")
    return _bytes_of(message.fields.get("own"), 32), {
        other: _bytes_of(seed, 32) for other, seed in shared.items()
    }


def _bytes_of(text: object, length: int) -> bytes:
    try:
        value = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        value = b""
    if len(value) != length:
        raise Malformed("sends a key or seed that is none")
    return value
