"""What a market is deployed with, and the file that says where it lives.

`deploy` drives Ape, which the caller hands in; everything else is plain data, so that the oracle and the
simulation read a deployment without Ape.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_utils import is_address

from clearwatt.errors import UserError
from clearwatt.grid import Grid, Line

CONTRACTS = ("TestEuro", "Registry", "Vault", "Market", "OracleQuorum", "EnergyToken", "Settlement")
SOURCES = {"none": 0, "solar": 1, "wind": 2, "other_renewable": 3}


@dataclass(frozen=True)
class Schedule:
    """The market's calendar; all in seconds but `slots`. See `contracts/libraries/Schedule.sol`.

    genesis: start of auction 0's first delivery slot, Unix time on the slot grid.
    slots: delivery slots per auction, T.
    horizon: bids are taken from this long before gate closure. gate_lead: from gate closure to delivery.
    clearing_window, metering_window, substitute_window: how long each is waited for.
    """

    genesis: int
    slot_seconds: int = 900
    slots: int = 4
    horizon: int = 86_400
    gate_lead: int = 900
    clearing_window: int = 900
    metering_window: int = 3_600
    substitute_window: int = 86_400

    def delivery_start(self, auction: int) -> int:
        """Start of the auction's first delivery slot."""
        return self.genesis + auction * self.slots * self.slot_seconds

    def delivery_end(self, auction: int) -> int:
        """End of the auction's last delivery slot."""
        return self.delivery_start(auction + 1)

    def opening(self, auction: int) -> int:
        """Bids are taken from here until before gate closure."""
        return self.gate_closure(auction) - self.horizon

    def gate_closure(self, auction: int) -> int:
        """From here on no bid changes and the auction can be cleared."""
        return self.delivery_start(auction) - self.gate_lead

    def clearing_deadline(self, auction: int) -> int:
        """An auction not cleared before this is void."""
        return self.gate_closure(auction) + self.clearing_window

    def metering_deadline(self, auction: int) -> int:
        """From here on a substitute reading is accepted."""
        return self.delivery_end(auction) + self.metering_window

    def substitute_deadline(self, auction: int) -> int:
        """From here on deemed readings and fallback prices apply."""
        return self.metering_deadline(auction) + self.substitute_window


@dataclass(frozen=True)
class MarketConfig:
    """Everything a market is deployed with.

    min_price, max_price, imbalance_margin: ticks. ring_size: records per member.
    owner admits members; signers and threshold are the oracle quorum's.
    token: the collateral's address, or None to deploy a test euro with `token_decimals`.
    """

    schedule: Schedule
    grid: Grid
    owner: str
    balancing_party: str
    network_account: str
    signers: tuple[str, ...]
    threshold: int = 1
    min_price: int = -50_000
    max_price: int = 400_000
    imbalance_margin: int = 0
    ring_size: int = 8
    token: str | None = None
    token_decimals: int = 6

    def registry_parameters(self) -> tuple[Any, ...]:
        """The `Parameters` struct as the Registry's constructor takes it."""
        s = self.schedule
        schedule = (
            s.genesis,
            s.slot_seconds,
            s.slots,
            s.horizon,
            s.gate_lead,
            s.clearing_window,
            s.metering_window,
            s.substitute_window,
        )
        prices = (self.min_price, self.max_price, self.imbalance_margin, self.ring_size)
        return (schedule, *prices, self.balancing_party, self.network_account)


def pack_line(parent: int, line: Line) -> int:
    """A line in the one word the contracts keep it in."""
    return max(parent, 0) << 152 | line.fee << 128 | line.export_limit << 64 | line.import_limit


def pack_grid(grid: Grid) -> list[int]:
    """One word per zone."""
    return [pack_line(parent, line) for parent, line in zip(grid.parents, grid.lines, strict=True)]


def unpack_grid(words: list[int]) -> Grid:
    """The inverse of `pack_grid`."""
    mask = (1 << 64) - 1
    parents = (-1, *(word >> 152 for word in words[1:]))
    lines = (Line(), *(Line(word >> 64 & mask, word & mask, word >> 128 & 0xFFFFFF) for word in words[1:]))
    return Grid(parents, lines)


@dataclass(frozen=True)
class Deployed:
    """One contract on a chain: where, with what arguments, by which transaction, and its ABI."""

    address: str
    arguments: tuple[Any, ...]
    transaction: str
    block: int
    abi: list[dict[str, Any]] = field(repr=False)


@dataclass(frozen=True)
class Deployment:
    """A deployed market, as `deployments/<network>.json` keeps it."""

    network: str
    chain_id: int
    compiler: dict[str, Any]
    source_hash: str
    contracts: dict[str, Deployed]

    def __getitem__(self, name: str) -> Deployed:
        return self.contracts[name]

    @property
    def first_block(self) -> int:
        """The block from which the market's events can be read."""
        return min(deployed.block for deployed in self.contracts.values())


def write_deployment(deployment: Deployment, path: Path) -> None:
    """Write the file whole or not at all."""
    document = {
        "network": deployment.network,
        "chain_id": deployment.chain_id,
        "compiler": deployment.compiler,
        "source_hash": deployment.source_hash,
        "contracts": {name: vars(deployed) for name, deployed in deployment.contracts.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    os.replace(part, path)


def read_deployment(path: Path) -> Deployment:
    """Read a deployment. Raises UserError if the file is missing or not one."""
    try:
        document = json.loads(path.read_text())
        contracts = {name: _deployed(name, entry) for name, entry in document.pop("contracts").items()}
        deployment = Deployment(contracts=contracts, **document)
    except FileNotFoundError:
        raise UserError(f"{path}: no such deployment; `ape run deploy` writes it") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not a deployment file: {error}") from None
    missing = [name for name in CONTRACTS if name != "TestEuro" and name not in deployment.contracts]
    if missing:
        raise UserError(f"{path} is not a whole deployment: {', '.join(missing)} is missing")
    return deployment


def _deployed(name: str, entry: Any) -> Deployed:
    deployed = Deployed(**entry)
    if not is_address(deployed.address):
        raise ValueError(f"{name} has the address {deployed.address!r}")
    if type(deployed.block) is not int or deployed.block < 0:
        raise ValueError(f"{name} has the block {deployed.block!r}")
    if not all(isinstance(item, dict) and "type" in item for item in deployed.abi):
        raise ValueError(f"{name} has no ABI")
    return deployed


def source_hash(folder: Path) -> str:
    """SHA-256 over the Solidity sources, names and contents, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.sol")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class MarketDeployer:
    """Deploys and connects the contracts through Ape.

    project: Ape's project, with the compiled contracts. account: who deploys.
    report: called with one line per contract.
    """

    def __init__(self, project: Any, account: Any, report: Callable[[str], None] = lambda line: None) -> None:
        self._project = project
        self._account = account
        self._report = report
        self._deployed: dict[str, Deployed] = {}
        self.instances: dict[str, Any] = {}

    def deploy(self, config: MarketConfig, network: str, chain_id: int) -> Deployment:
        """Deploy a whole market and return what was deployed."""
        euro = config.token or self._create("TestEuro", config.token_decimals).address
        grid = pack_grid(config.grid)
        registry = self._create("Registry", config.owner, config.registry_parameters(), grid).address
        vault = self._create("Vault", euro, registry)
        market = self._create("Market", registry, vault.address)
        signers = sorted(config.signers, key=lambda signer: int(signer, 16))
        quorum = self._create("OracleQuorum", config.owner, signers, config.threshold).address
        token = self._create("EnergyToken", "")
        settlement = self._create(
            "Settlement", registry, vault.address, market.address, quorum, token.address
        ).address
        vault.connect(market.address, settlement, sender=self._account)
        market.connect(settlement, sender=self._account)
        token.connect(settlement, sender=self._account)
        folder = Path(self._project.path) / "contracts"
        compiler = _compiler_of(self._project)
        return Deployment(network, chain_id, compiler, source_hash(folder), dict(self._deployed))

    def _create(self, name: str, *arguments: Any) -> Any:
        container = getattr(self._project, name)
        instance = self._account.deploy(container, *arguments)
        receipt = instance.creation_metadata.receipt
        abi = [
            entry.model_dump(mode="json", by_alias=True, exclude_none=True)
            for entry in container.contract_type.abi
        ]
        self._deployed[name] = Deployed(
            instance.address, arguments, receipt.txn_hash, receipt.block_number, abi
        )
        self.instances[name] = instance
        self._report(f"{name} at {instance.address}, block {receipt.block_number}")
        return instance


def _compiler_of(project: Any) -> dict[str, Any]:
    settings = project.config.get_config("solidity")
    keys = ("version", "evm_version", "via_ir", "optimize", "optimization_runs")
    return {"name": "solc", **{key: getattr(settings, key) for key in keys if hasattr(settings, key)}}
