"""What a market is deployed with, and the file that says where it lives.

`deploy` drives Ape, which the caller hands in; everything else is plain data, so that the oracle and the
simulation read a deployment without Ape.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from eth_utils import is_address

from clearwatt.chain.capacity import Auctions
from clearwatt.errors import UserError
from clearwatt.grid import Grid, Line
from clearwatt.units import MONEY_PER_CURRENCY

CONTRACTS = (
    "TestEuro",
    "Registry",
    "Vault",
    "Market",
    "ChunkedClearing",
    "OracleQuorum",
    "EnergyToken",
    "Settlement",
)
LEAST_DEFAULT_STEPS = 8
MOST_RECORDS = 2**16 - 1
SOURCES = {"none": 0, "solar": 1, "wind": 2, "other_renewable": 3}


@dataclass(frozen=True)
class Schedule:
    """The market's calendar; all in seconds but `slots`. See `contracts/libraries/Schedule.sol`.

    The fields come in the struct's order.

    genesis: start of auction 0's first delivery slot, Unix time on the slot grid.
    slots: delivery slots per auction, T.
    horizon: bids are taken from this long before gate closure. gate_lead: from gate closure to delivery.
    reveal_window: sealed bids are opened for this long after gate closure; 0 = the market takes open bids.
    clearing_window, metering_window, substitute_window: how long each is waited for.
    dispute_window: how long a report of the quorum can be disputed; decision_window: for the owner to decide.
    """

    genesis: int
    slot_seconds: int = 900
    slots: int = 4
    horizon: int = 86_400
    gate_lead: int = 900
    reveal_window: int = 0
    clearing_window: int = 900
    metering_window: int = 3_600
    substitute_window: int = 86_400
    dispute_window: int = 3_600
    decision_window: int = 86_400

    @property
    def sealed(self) -> bool:
        """Whether bids stay sealed until the gate has closed."""
        return self.reveal_window > 0

    @property
    def life(self) -> int:
        """From an auction's opening until nothing can delay its settlement any more, seconds."""
        return self.deemed_from(0) - self.opening(0)

    @property
    def least_ring(self) -> int:
        """Records a member needs: auctions that share one must not take bids at the same time."""
        return self._ring_of(self.horizon)

    @property
    def ample_ring(self) -> int:
        """Records with which no member is ever kept from bidding, however silent its meter: when one comes round again,
        the auction that used it can be settled. As many auctions as one lives, if a market can have that many."""
        return min(self._ring_of(self.life), MOST_RECORDS)

    def _ring_of(self, seconds: int) -> int:
        return max(-(-seconds // (self.slots * self.slot_seconds)), 1)

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
        """From here on no bid can be placed, replaced or cancelled."""
        return self.delivery_start(auction) - self.gate_lead

    def clearing_start(self, auction: int) -> int:
        """From here on the auction can be cleared and no sealed bid can be opened any more."""
        return self.gate_closure(auction) + self.reveal_window

    def clearing_deadline(self, auction: int) -> int:
        """An auction not cleared before this is void."""
        return self.clearing_start(auction) + self.clearing_window

    def metering_deadline(self, auction: int) -> int:
        """From here on a substitute reading is accepted."""
        return self.delivery_end(auction) + self.metering_window

    def substitute_deadline(self, auction: int) -> int:
        """From here on the quorum reports nothing more, and fallback prices can be posted."""
        return self.metering_deadline(auction) + self.substitute_window

    def deemed_from(self, auction: int) -> int:
        """From here on, when the last report there can be is final, deemed readings apply."""
        return self.substitute_deadline(auction) + self.dispute_window + self.decision_window


@dataclass(frozen=True)
class MarketConfig:
    """Everything a market is deployed with.

    min_price, max_price, imbalance_margin: ticks. ring_size: records per member; 0 = as many auctions as one lives.
    owner admits members; signers and threshold are the oracle quorum's.
    min_quantity: least of a step, Wh. max_steps: in one bundle; 0 = two per slot, at least 8.
    max_members: with a bid in one auction; 0 = as many as one transaction clears, whatever they bid.
    seal_deposit, dispute_bond: money units.
    owner_delay: from announcing to carrying out what the owner may change, seconds; 0 = an auction's life.
    token: the collateral's address, or None to deploy a test euro with `token_decimals`.
    """

    schedule: Schedule
    grid: Grid
    owner: str
    balancing_party: str
    network_account: str
    signers: tuple[str, ...]
    threshold: int = 1
    min_quantity: int = 1
    max_steps: int = 0
    max_members: int = 0
    min_price: int = -50_000
    max_price: int = 400_000
    imbalance_margin: int = 0
    ring_size: int = 0
    seal_deposit: int = 10 * MONEY_PER_CURRENCY
    dispute_bond: int = 20 * MONEY_PER_CURRENCY
    owner_delay: int = 0
    token: str | None = None
    token_decimals: int = 6

    def __post_init__(self) -> None:
        self._fill_in("max_steps", max(2 * self.schedule.slots, LEAST_DEFAULT_STEPS))
        self._fill_in("max_members", self.auctions.most_members(self.max_steps))
        self._fill_in("ring_size", self.schedule.ample_ring)
        self._fill_in("owner_delay", self.schedule.life)

    def _fill_in(self, name: str, value: int) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)

    @property
    def auctions(self) -> Auctions:
        """What clearing this market's auctions takes."""
        return Auctions(self.grid.zones, self.schedule.slots)

    @property
    def fits_one_transaction(self) -> bool:
        """Whether every auction can be cleared in one transaction; a larger one is cleared in chunks."""
        return self.auctions.fit(self.max_members, self.max_members * self.max_steps)

    def registry_parameters(self) -> tuple[Any, ...]:
        """The `Parameters` struct as the Registry's constructor takes it."""
        return (
            astuple(self.schedule),
            (self.min_quantity, self.max_steps, self.max_members),
            self.min_price,
            self.max_price,
            self.imbalance_margin,
            self.ring_size,
            self.seal_deposit,
            self.dispute_bond,
            self.owner_delay,
            self.balancing_party,
            self.network_account,
        )


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
        registry = self._create(
            "Registry", config.owner, config.registry_parameters(), pack_grid(config.grid)
        ).address
        vault = self._create("Vault", euro, registry).address
        market = self._create("Market", registry, vault).address
        clearing = self._create("ChunkedClearing", registry, vault, market).address
        signers = sorted(config.signers, key=lambda signer: int(signer, 16))
        quorum = self._create("OracleQuorum", registry, vault, signers, config.threshold).address
        token = self._create("EnergyToken", "").address
        settlement = self._create("Settlement", registry, vault, market, quorum, token).address
        self._connect("Registry", vault)
        self._connect("Vault", market, clearing, settlement, quorum)
        self._connect("Market", settlement, clearing)
        self._connect("OracleQuorum", settlement)
        self._connect("EnergyToken", settlement)
        folder = Path(self._project.path) / "contracts"
        compiler = _compiler_of(self._project)
        return Deployment(network, chain_id, compiler, source_hash(folder), dict(self._deployed))

    def _connect(self, name: str, *others: str) -> None:
        """Tell a contract once, for good, who may call it."""
        self.instances[name].connect(*others, sender=self._account)

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
