"""All metrics of a service, for Prometheus. Defined here and nowhere else; `/metrics` shows them.

They are about the service and the market as a whole. No label names a member, a meter or a metering point: whoever
may read the metrics must not learn from them what a household does.

Ages are for the reader to compute, as `time() - ..._timestamp_seconds`: a gauge that says "3 s old" would go on
saying so after whatever sets it has died.
"""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from clearwatt import __version__

disable_created_metrics()  # a series more for each counter, for nothing
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

SERVICE = Info("clearwatt", "The program that runs.", registry=REGISTRY)
SERVICE.info({"version": __version__})


class GaugesByLabel(Collector):
    """A gauge whose labels come and go: what was not in the last `show` is gone, so old auctions do not pile up.

    A scrape sees one `show` or the next, never half of each.
    """

    def __init__(self, name: str, text: str, label: str, always: Sequence[str] = ()) -> None:
        self._name, self._text, self._label = name, text, label
        self._always = always
        self._values: Mapping[str, float] = {}
        REGISTRY.register(self)

    def show(self, values: Mapping[str, float]) -> None:
        """Replace all values, by label."""
        self._values = dict(values)

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for label, value in {**dict.fromkeys(self._always, 0.0), **self._values}.items():
            family.add_metric([label], value)
        yield family


# ------------------------------------------------------------ the cycle

CYCLE_SECONDS = Histogram(
    "clearwatt_cycle_duration_seconds",
    "How long a cycle took, whatever came of it.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 60, 120, 300),
    registry=REGISTRY,
)
CYCLES = Counter(
    "clearwatt_cycles", "Cycles by outcome: good, failed, timeout.", ["outcome"], registry=REGISTRY
)
CYCLE_GOOD = Gauge(
    "clearwatt_cycle_last_success_timestamp_seconds", "When the last good cycle ended.", registry=REGISTRY
)
FAILURES_IN_A_ROW = Gauge(
    "clearwatt_cycle_failures_in_a_row", "Failed cycles since the last good one.", registry=REGISTRY
)
BREAKER_OPEN = Gauge(
    "clearwatt_breaker_open",
    "1 while the circuit breaker is open: too many failures in a row.",
    registry=REGISTRY,
)

# ------------------------------------------------------------ the chain as it is seen

HEAD_BLOCK = Gauge("clearwatt_head_block", "Number of the newest block seen.", registry=REGISTRY)
HEAD_TIME = Gauge("clearwatt_head_timestamp_seconds", "Time of the newest block seen.", registry=REGISTRY)
PINNED_BLOCK = Gauge(
    "clearwatt_pinned_block", "Number of the block that the cycle refers to.", registry=REGISTRY
)
PINNED_TIME = Gauge("clearwatt_pinned_timestamp_seconds", "Time of that block.", registry=REGISTRY)
REORGANISATIONS = Counter(
    "clearwatt_reorganisations",
    "Times that blocks read before were no longer on the chain.",
    registry=REGISTRY,
)
ENDPOINT_FAILURES = Counter(
    "clearwatt_endpoint_failures",
    "Calls passed on to the next endpoint. endpoint: its host; reason: error, timeout, stale, wrong_chain.",
    ["endpoint", "reason"],
    registry=REGISTRY,
)

# ------------------------------------------------------------ auctions

STAGES = ("open", "uncleared", "cleared", "delivered", "disputable", "settling", "settled", "void", "empty")
"""open: bids are taken, or sealed ones opened. uncleared: can be cleared. cleared: until delivery ends. delivered: no
imbalance prices yet. disputable: these are not final yet. settling: some members are not settled yet. settled: all are.
void: not cleared in time. empty: nobody bid."""

AUCTIONS = GaugesByLabel("clearwatt_auctions", "Auctions by stage.", "stage", STAGES)
LOCKED = Gauge(
    "clearwatt_void_locks", "Members' locks in void auctions that nobody has released yet.", registry=REGISTRY
)
HELD_BACK = Gauge(
    "clearwatt_auctions_held_back", "Auctions left alone for a while after a failure.", registry=REGISTRY
)
DISPUTES = Gauge(
    "clearwatt_disputes_open", "Reports of the quorum that wait for the owner's decision.", registry=REGISTRY
)
MISSING_METERS = GaugesByLabel(
    "clearwatt_missing_meters",
    "Members of a delivered, unsettled auction without a statement of their meter.",
    "auction",
)

# ------------------------------------------------------------ metering

MESSAGES = Counter(
    "clearwatt_messages",
    "Signed messages received. kind: statement, readings; outcome: stored, known, rejected; "
    "transport: http, mqtt, file, peer.",
    ["kind", "outcome", "transport"],
    registry=REGISTRY,
)
VEE_DECISIONS = Counter(
    "clearwatt_vee_decisions",
    "Decisions of validation, estimation and editing, by rule.",
    ["rule"],
    registry=REGISTRY,
)
BROKER_CONNECTED = Gauge(
    "clearwatt_broker_connected", "1 while connected to the MQTT broker.", registry=REGISTRY
)

# ------------------------------------------------------------ the quorum

PEER_REACHABLE = Gauge(
    "clearwatt_peer_reachable", "1 if the peer answered when it was last asked.", ["peer"], registry=REGISTRY
)
PEER_EXCHANGE = Gauge(
    "clearwatt_peer_last_exchange_timestamp_seconds",
    "When messages were last taken over from the peer, however many there were.",
    ["peer"],
    registry=REGISTRY,
)
PEER_BEHIND = Gauge(
    "clearwatt_peer_messages_behind",
    "Messages that the peer has numbered and that were not taken over yet.",
    ["peer"],
    registry=REGISTRY,
)
PEER_CLOCK = Gauge(
    "clearwatt_peer_clock_offset_seconds",
    "The peer's clock minus this one.",
    ["peer"],
    registry=REGISTRY,
)
DISAGREEMENTS = Counter(
    "clearwatt_disagreements",
    "Reports of a peer that differ from ours. subject: imbalance, substitute, inputs.",
    ["peer", "subject"],
    registry=REGISTRY,
)
SIGNATURES = Counter(
    "clearwatt_signatures",
    "Signatures gathered from peers. outcome: counted, refused.",
    ["peer", "outcome"],
    registry=REGISTRY,
)
BELOW_THRESHOLD = Gauge(
    "clearwatt_reports_below_threshold",
    "Reports that wait for more signatures than were gathered.",
    registry=REGISTRY,
)
IN_OFFICE = Gauge(
    "clearwatt_signer_in_office",
    "1 if this oracle's key is a signer of the quorum in office.",
    registry=REGISTRY,
)

# ------------------------------------------------------------ transactions

TRANSACTIONS = Counter(
    "clearwatt_transactions",
    "Transactions by action (Clear, Settle, ...) and outcome: sent, included, replaced, failed, dry_run.",
    ["action", "outcome"],
    registry=REGISTRY,
)
PENDING = Gauge(
    "clearwatt_transactions_pending", "Transactions sent and not included yet.", registry=REGISTRY
)
GAS_USED = Counter(
    "clearwatt_gas_used", "Gas of included transactions, by action.", ["action"], registry=REGISTRY
)
FEES = Counter(
    "clearwatt_fees_ether",
    "Fees of included transactions in ether, by action.",
    ["action"],
    registry=REGISTRY,
)
BASE_FEE = Gauge("clearwatt_base_fee_gwei", "Base fee of the newest block seen.", registry=REGISTRY)
FEE_CAP = Gauge("clearwatt_fee_cap_gwei", "What the operator pays per gas at most.", registry=REGISTRY)
BALANCE = Gauge("clearwatt_balance_ether", "What the signing account has for fees.", registry=REGISTRY)

# ------------------------------------------------------------ this machine

DATABASE_ERRORS = Counter(
    "clearwatt_database_errors", "Failed attempts to use the database.", registry=REGISTRY
)
DATABASE_UP = Gauge(
    "clearwatt_database_up", "1 if the database answered when it was last asked.", registry=REGISTRY
)
ENCRYPTED = Gauge(
    "clearwatt_readings_encrypted", "1 if readings are encrypted at rest, 0 if not.", registry=REGISTRY
)
DISK_FREE = Gauge(
    "clearwatt_database_disk_free_bytes", "Space left where a SQLite database lies.", registry=REGISTRY
)
CLOCK = Gauge(
    "clearwatt_clock_offset_seconds",
    "This machine's clock minus the newest block's time when that was first seen.",
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "clearwatt_http_request_duration_seconds",
    "How long answering took, by route.",
    ["method", "route", "status"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10),
    registry=REGISTRY,
)
