"""Exchange ADMM, the reference method of the literature [1]_, with over-relaxation and residual balancing.

In a round each member is told by how much the zone's balance is off per participant, and answers with its best
net injection not far from its last one; the price moves with the imbalance. The lines and public offers take
part as the coordinator's own; as each may have to answer for everybody, it counts as many participants
(`share`), with as much less penalty. The penalty has a value per zone and slot, each balanced by its own
residuals.

.. [1] S. Boyd et al., "Distributed optimization and statistical learning via the alternating direction method of
   multipliers", Foundations and Trends in Machine Learning 3 (2011), sections 3.4 and 7.3.
"""

import time

import numpy as np

from clearwatt.dispatch.distributed import offers as closed_form
from clearwatt.dispatch.distributed.community import Community
from clearwatt.dispatch.distributed.coordinator import Coordinator
from clearwatt.dispatch.distributed.price_newton import Result
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.program import Offers

TOLERANCE = 1e-4
MAX_ROUNDS = 2000
RELAXATION = 1.5
PENALTY = 1.5
"""At the beginning, relative to the mean of the public costs, per kWh."""
BALANCE = 3.0
"""Residuals this far apart change the penalty."""
CHANGE = 1.5
SHARE = 0.4
"""Participants that one of the coordinator's own counts for, per member of the community."""
ADAPTED = 200
"""Rounds after which the penalty stays: with one that changes for ever nothing is proved."""
Flow = tuple[np.ndarray, np.ndarray]


def solve(
    community: Community,
    coordinator: Coordinator,
    *,
    tolerance: float = TOLERANCE,
    max_rounds: int = MAX_ROUNDS,
    penalty: float | None = None,
    relaxation: float = RELAXATION,
) -> Result:
    """As `price_newton.solve`; gap is the dual residual relative to the price. Raises NotConverged."""
    began = time.perf_counter()
    state = _Exchange(community, coordinator, penalty, relaxation)
    for number in range(1, max_rounds + 1):
        state.round(first=number == 1)
        if max(state.primal, state.dual) <= tolerance:
            return state.result(number, time.perf_counter() - began)
        if number < ADAPTED:
            state.balance_residuals()
    raise NotConverged(f"ADMM: residuals {state.primal:.1e}, {state.dual:.1e} after {max_rounds} rounds")


class _Exchange:
    """mean, scaled price and penalty, [Z, T]; and the coordinator's own participants with their targets."""

    def __init__(
        self, community: Community, coordinator: Coordinator, penalty: float | None, relaxation: float
    ) -> None:
        self._community, self._coordinator, self._relaxation = community, coordinator, relaxation
        shape = community.zones, community.slots
        self._mean = np.zeros(shape)
        costs = community.offers.cost
        self._price_scale = float(np.abs(costs).mean()) if costs.size else 1.0
        self._penalty = np.full(shape, PENALTY * self._price_scale if penalty is None else penalty)
        # Prices begin in the middle of what is public.
        self._scaled = np.full(shape, -(float(costs.mean()) if costs.size else 0.0)) / self._penalty
        share = max(1.0, SHARE * len(community.members))
        self._public = [_Public(community, zone, share) for zone in range(community.zones)]
        self._lines = [_Line(community, zone, share) for zone in range(1, community.zones)]
        self.primal = self.dual = np.inf

    def _counts(self) -> np.ndarray:
        """[Z, 1] participants."""
        counts = [len(self._coordinator.members(public.zone)) + public.share for public in self._public]
        for line in self._lines:
            counts[line.zone] += line.share
            counts[line.parent] += line.share
        return np.maximum(np.array(counts, float), 1)[:, None]

    def round(self, *, first: bool) -> None:
        """One round of messages, with the coordinator's own part."""
        slots, relaxation = self._community.slots, self._relaxation
        rows = np.stack([self._mean, self._scaled, self._penalty], axis=1)
        sums = self._coordinator.sums("nearest", rows, 2 * slots, relaxation=relaxation, first=first)
        net, moved = sums[:, :slots].copy(), sums[:, slots:].copy()
        self._members = net.copy()
        for public in self._public:
            public.answer(net, moved, rows[public.zone], relaxation)
        for line in self._lines:
            line.answer(net, moved, rows, relaxation)
        counts = self._counts()
        self._mean = net / counts
        self._scaled = self._scaled + relaxation * self._mean
        self._imbalance = net
        size = 1 + np.abs(self._members).max(initial=0) + np.abs(self._community.fixed).max(initial=0)
        self._primal_by_slot = np.abs(net) / np.sqrt(counts)
        self._dual_by_slot = self._penalty * np.sqrt(moved)
        self.primal = float(np.abs(net).max() / size)
        self.dual = float((self._penalty * np.sqrt(moved / counts)).max() / self._price_scale)

    def balance_residuals(self) -> None:
        """Raise the penalty where the balance lags behind, lower it where the price does."""
        primal, dual = self._primal_by_slot, self._dual_by_slot
        factor = np.where(primal > BALANCE * dual, CHANGE, np.where(dual > BALANCE * primal, 1 / CHANGE, 1.0))
        self._penalty = self._penalty * factor
        self._scaled = self._scaled / factor

    def result(self, rounds: int, seconds: float) -> Result:
        shape = self._mean.shape
        exports, imports = np.zeros(shape), np.zeros(shape)
        for line in self._lines:
            exports[line.zone], imports[line.zone] = line.flow
        return Result(
            zone_price=-self._scaled * self._penalty,
            balance=self._imbalance,
            exports=exports,
            imports=imports,
            injection=np.zeros((0, shape[1])),
            cost=np.nan,
            gap=self.dual,
            residual=self.primal,
            rounds=rounds,
            seconds=seconds,
            faults=tuple(self._coordinator.faults),
        )


class _Public:
    """The public offers of a zone, as one participant."""

    def __init__(self, community: Community, zone: int, share: float) -> None:
        offers, own = community.offers, community.offers.connection == zone
        names = ("connection", "low", "high", "cost", "curvature", "on_off")
        self._offers = Offers(*(getattr(offers, name)[own] for name in names))
        self._fixed, self.zone = community.fixed[zone], zone
        self._net = self._target = np.zeros(community.slots)
        self.share = share if own.any() or self._fixed.any() else 0.0

    def answer(self, net: np.ndarray, moved: np.ndarray, row: np.ndarray, relaxation: float) -> None:
        if not self.share:
            return
        mean, scaled, penalty = row[0] * self.share, row[1] * self.share, row[2] / self.share
        before = self._target
        self._target = relaxation * (self._net - mean) + (1 - relaxation) * before
        towards = self._target - scaled - self._fixed
        self._net = self._fixed + closed_form.nearest(self._offers, towards, penalty)
        net[self.zone] += self._net
        moved[self.zone] += (self._target - before) ** 2 / self.share


class _Line:
    """A line, as a participant of both its zones."""

    def __init__(self, community: Community, zone: int, share: float) -> None:
        lines, slots = community.lines, community.slots
        self.share = share
        self.zone, self.parent = zone, int(lines.parent[zone])
        self._most = lines.export_limit[zone], lines.import_limit[zone]
        self._fee, self._kept = lines.fee[zone], 1 - float(lines.loss[zone])
        self._ends = [self.zone, self.parent]
        self._net = self._target = np.zeros((2, slots))
        self.flow: Flow = (np.zeros(slots), np.zeros(slots))

    def answer(self, net: np.ndarray, moved: np.ndarray, rows: np.ndarray, relaxation: float) -> None:
        mean, scaled, penalty = (rows[self._ends, part] for part in range(3))
        mean, scaled, penalty = mean * self.share, scaled * self.share, penalty / self.share
        before = self._target
        self._target = relaxation * (self._net - mean) + (1 - relaxation) * before
        self.flow = self._nearest(self._target - scaled, penalty)
        self._net = self._effect(*self.flow)
        net[self._ends] += self._net
        moved[self._ends] += (self._target - before) ** 2 / self.share

    def _effect(self, exports: np.ndarray, imports: np.ndarray) -> np.ndarray:
        """[2, T] what the flows bring to the lower and the upper zone."""
        return np.stack([self._kept * imports - exports, self._kept * exports - imports])

    def _nearest(self, towards: np.ndarray, weight: np.ndarray) -> Flow:
        """The flows of least fee + weight / 2 * (effect - towards)^2: the best of the square's edges and inside."""
        kept, (most_out, most_in) = self._kept, self._most
        zero = np.zeros_like(most_out)
        trials = [
            *((out, self._best_import(out, towards, weight)) for out in (zero, most_out)),
            *((self._best_export(into, towards, weight), into) for into in (zero, most_in)),
        ]
        if kept < 1:
            trials.append(self._inside(towards, weight))
        costs = [
            self._fee * (out + into) + (weight / 2 * (self._effect(out, into) - towards) ** 2).sum(axis=0)
            for out, into in trials
        ]
        best, slots = np.argmin(costs, axis=0), np.arange(len(zero))
        return tuple(np.stack([trial[part] for trial in trials])[best, slots] for part in range(2))

    def _best_export(self, imports: np.ndarray, towards: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rest = towards - self._effect(np.zeros_like(imports), imports)
        best = (-weight[0] * rest[0] + self._kept * weight[1] * rest[1] - self._fee) / (
            weight[0] + self._kept**2 * weight[1]
        )
        return np.clip(best, 0, self._most[0])

    def _best_import(self, exports: np.ndarray, towards: np.ndarray, weight: np.ndarray) -> np.ndarray:
        rest = towards - self._effect(exports, np.zeros_like(exports))
        best = (self._kept * weight[0] * rest[0] - weight[1] * rest[1] - self._fee) / (
            self._kept**2 * weight[0] + weight[1]
        )
        return np.clip(best, 0, self._most[1])

    def _inside(self, towards: np.ndarray, weight: np.ndarray) -> Flow:
        """Where both flows are free: both effects are off by what the fee is worth."""
        kept = self._kept
        # From the two gradients: -w0 r0 + k w1 r1 = -fee and k w0 r0 - w1 r1 = -fee, with r = effect - towards.
        off = self._fee / (1 - kept)
        effect = towards + np.stack([off / weight[0], off / weight[1]])
        scale = 1 - kept**2
        exports, imports = -(effect[0] + kept * effect[1]) / scale, -(kept * effect[0] + effect[1]) / scale
        return np.clip(exports, 0, self._most[0]), np.clip(imports, 0, self._most[1])
