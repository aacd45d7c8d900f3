"""A member in a distributed run: keeps its program to itself and answers messages.

    hello     -> member   zone and public key
    group     -> ready    keys of those it may share masks with
    ask       -> answer   numbers for a task, masked unless the run is open
    reveal    -> seeds    what takes the masks of one round away
    anything else, or what the member does not want -> refusal, with the reason

Tasks: `newton` (`barrier`), `best` (best response to prices) and `nearest` (best response near a target, for ADMM).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from clearwatt.dispatch import structured
from clearwatt.dispatch.distributed import offers as closed_form
from clearwatt.dispatch.distributed.barrier import Member
from clearwatt.dispatch.distributed.community import MemberProgram, restrict
from clearwatt.dispatch.distributed.messages import Malformed, Message, decode
from clearwatt.dispatch.distributed.secure_sum import Masker
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.program import Program

Task = Callable[[Message], np.ndarray]


class Agent:
    """Answers the messages to one member."""

    def __init__(self, own: MemberProgram) -> None:
        self.name, self._zone, self.barrier = own.name, own.zone, Member(own.program)
        self._program = own.program
        self._masker, self._masked = Masker(own.name), True
        self._exchange: _Exchange | None = None
        self._tasks: dict[str, Task] = {"newton": self._newton, "best": self._best, "nearest": self._nearest}

    def __call__(self, data: bytes) -> bytes:
        """The answer to a message; never raises for what is in it."""
        try:
            message = decode(data)
            match message.kind:
                case "hello":
                    answer = Message("member", {"zone": self._zone, "key": self._masker.public_key.hex()})
                case "group":
                    answer = self._meet(message)
                case "ask":
                    answer = self._answer(message)
                case "reveal":
                    answer = self._reveal(message)
                case _:
                    raise Malformed(f"unknown message {message.kind!r}")
        except (
            DispatchError,
            KeyError,
            TypeError,
            ValueError,
            ArithmeticError,
            np.linalg.LinAlgError,
        ) as error:
            answer = Message("refusal", {"reason": f"{type(error).__name__}: {error}"[:200]})
        return answer.encode()

    def _meet(self, message: Message) -> Message:
        self._masked = bool(message.fields["masked"])
        if self._masked:
            keys = {str(name): bytes.fromhex(key) for name, key in message.fields["keys"].items()}
            self._masker.meet(keys, int(message.fields["degree"]))
        return Message("ready")

    def _answer(self, message: Message) -> Message:
        number = int(message.fields["round"])
        with np.errstate(all="ignore"):  # what is not finite never leaves this member
            numbers = self._tasks[message.fields["task"]](message)
        if not self._masked:
            return Message("answer", {"round": number}, numbers)
        members = [str(name) for name in message.fields["members"]]
        return Message("answer", {"round": number}, self._masker.cover(numbers, number, members))

    def _reveal(self, message: Message) -> Message:
        number = int(message.fields["round"])
        own, shared = self._masker.reveal(number, [str(name) for name in message.fields["answered"]])
        seeds = {other: seed.hex() for other, seed in shared.items()}
        return Message("seeds", {"round": number, "own": own.hex(), "shared": seeds})

    def _rows(self, message: Message, count: int) -> np.ndarray:
        rows = message.expect("ask", (count, self._program.slots))
        assert rows is not None
        return rows

    def _newton(self, message: Message) -> np.ndarray:
        (price,) = self._rows(message, 1)
        mu = float(message.fields["mu"])
        if not mu > 0:
            raise Malformed("mu is not above 0")
        return self.barrier.answer(price, mu).numbers()

    def _best(self, message: Message) -> np.ndarray:
        (price,) = self._rows(message, 1)
        return best_net(self._program, price)

    def _nearest(self, message: Message) -> np.ndarray:
        """Rows: mean of the last round, scaled price and penalty. Numbers: net injection, squared change of target."""
        mean, scaled_price, penalty = self._rows(message, 3)
        if self._exchange is None or message.fields["first"]:
            self._exchange = _Exchange(self._program)
        return self._exchange.answer(mean, scaled_price, penalty, float(message.fields["relaxation"]))


class _Exchange:
    """A member's memory in exchange ADMM."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._net = self._target = np.zeros(program.slots)

    def answer(
        self, mean: np.ndarray, scaled_price: np.ndarray, penalty: np.ndarray, relaxation: float
    ) -> np.ndarray:
        before = self._target
        self._target = relaxation * (self._net - mean) + (1 - relaxation) * before
        self._net = nearest_net(self._program, self._target - scaled_price, penalty)
        return np.concatenate([self._net, (self._target - before) ** 2])


def best_net(program: Program, price: np.ndarray) -> np.ndarray:
    """[T] net injection that suits a member best at a price [T]."""
    if len(program.stores.connection):
        return structured.respond(program, price[None]).net.sum(axis=0)
    return sum(
        fixed_to_caps(part, closed_form.best_response(part.offers, price)) for part in by_connection(program)
    )


def nearest_net(program: Program, towards: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """[T] net injection of least cost + weight / 2 * (net - towards)^2; weight: [T]."""
    if len(program.connections.zone) > 1:
        raise DispatchError("ADMM wants every connection to be a member by itself")
    if not len(program.stores.connection):
        part, fixed = program, program.connections.fixed[0]
        return fixed_to_caps(part, closed_form.nearest(part.offers, towards - fixed, weight))
    wide = 1e3 * (1 + np.abs(towards).max())
    connections = replace(
        program.connections,
        low=np.maximum(program.connections.low, -wide),
        high=np.minimum(program.connections.high, wide),
        cost=-(weight * towards)[None],
        curvature=weight[None].copy(),
    )
    return structured.respond(replace(program, connections=connections), np.zeros_like(towards)[None]).net[0]


def by_connection(program: Program) -> list[Program]:
    """A program for each connection."""
    return [restrict(program, np.array([row])) for row in range(len(program.connections.zone))]


def fixed_to_caps(program: Program, injection: np.ndarray) -> np.ndarray:
    """[T] net injection of the one connection with its fixed part, within its caps."""
    connections = program.connections
    return np.clip(connections.fixed[0] + injection, connections.low[0], connections.high[0])
