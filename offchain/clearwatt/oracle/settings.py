"""How an oracle runs, as its operator wants it."""

from dataclasses import dataclass, field
from pathlib import Path

from clearwatt.chain.fees import FeeLimits
from clearwatt.errors import UserError

LONGEST_POLL_SECONDS = 3600
MAX_DEPTH = 1000


@dataclass(frozen=True)
class Settings:
    """How the cycle runs.

    poll_seconds: between cycles. batch: members in one settlement or token transaction.
    draw_tokens: whether to mint members' energy tokens for them.
    cycle_seconds: a cycle that takes longer is given up. turn_seconds: see `rotation`; 0 = no turns.
    breaker_failures, breaker_seconds: after so many failed cycles in a row the next try waits so long.
    dry_run: say what would be sent, and send nothing.
    """

    poll_seconds: float = 12.0
    batch: int = 25
    draw_tokens: bool = True
    cycle_seconds: float = 300.0
    turn_seconds: float = 0.0
    breaker_failures: int = 8
    breaker_seconds: float = 120.0
    dry_run: bool = False
    limits: FeeLimits = field(default_factory=FeeLimits)

    def __post_init__(self) -> None:
        """Raises UserError, naming the option."""
        if not 0 <= self.poll_seconds <= LONGEST_POLL_SECONDS:
            raise UserError(
                f"--poll {self.poll_seconds:g} is not between 0 and {LONGEST_POLL_SECONDS} seconds"
            )
        if self.batch < 1:
            raise UserError(f"--batch {self.batch}: a transaction settles at least 1 member")
        if not self.cycle_seconds > 0:
            raise UserError(f"--cycle-timeout {self.cycle_seconds:g}: a cycle takes more than 0 seconds")
        if not self.turn_seconds >= 0:
            raise UserError(f"--turn {self.turn_seconds:g} is less than 0 seconds")


@dataclass(frozen=True)
class Connections:
    """What an oracle works with.

    rpc: addresses of nodes, the preferred one first. database: as SQLAlchemy names it. depth: blocks below the newest
    that the cycle refers to. listen: HOST:PORT of the HTTP server, "" for none. peers: URLs of the other oracles.
    points: file of metering points, if any.
    """

    rpc: tuple[str, ...]
    deployment: Path
    database: str
    depth: int = 2
    listen: str = ""
    peers: tuple[str, ...] = ()
    points: str = ""

    def __post_init__(self) -> None:
        """Raises UserError, naming the option."""
        if not 0 <= self.depth <= MAX_DEPTH:
            raise UserError(f"--depth {self.depth} is not between 0 and {MAX_DEPTH} blocks")
