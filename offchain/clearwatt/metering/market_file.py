"""What whoever only meters needs to know of a market: from its deployment file, without a node."""

from dataclasses import dataclass
from pathlib import Path

from clearwatt.chain.deployment import Schedule, read_deployment
from clearwatt.errors import UserError


@dataclass(frozen=True)
class MeteredMarket:
    """A market as its meters see it. settlement: whom statements are for."""

    chain_id: int
    settlement: str
    schedule: Schedule


def read_market(path: Path) -> MeteredMarket:
    """The market of a deployment file. Raises UserError."""
    deployment = read_deployment(path)
    try:
        # the Registry's arguments: owner, parameters (whose first is the schedule), grid
        schedule = Schedule(*deployment["Registry"].arguments[1][0])
    except (IndexError, TypeError):
        raise UserError(f"{path} does not say the market's schedule") from None
    return MeteredMarket(deployment.chain_id, deployment["Settlement"].address, schedule)
