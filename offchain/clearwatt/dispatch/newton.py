"""One Newton step of the structured interior-point method: factorise once, solve for several right-hand sides."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from clearwatt.dispatch.blocks import SLACK, Chains, Gains, eliminate_controls
from clearwatt.dispatch.layout import Layout
from clearwatt.dispatch.zones import ZoneFactor


@dataclass
class Point:
    """Where the method is: x [T, V] and the multipliers of the equations, in the layout's order.

    zone_price: [T, Z]. home_price: [T, H]. value: [T, B], of one unit more of state.
    """

    x: np.ndarray
    zone_price: np.ndarray
    home_price: np.ndarray
    value: np.ndarray


class Equations:
    """The constraints of a layout: residuals, and the multipliers' share in the gradient."""

    def __init__(self, layout: Layout) -> None:
        stores, order = layout.program.stores, layout.store_order
        self.layout = layout
        charging = 1.0 - stores.state_injects[order]
        self.gains = Gains(
            stores.up_gain[order], stores.down_gain[order], stores.retention[order], charging, 1 - charging
        )
        self.drift = np.ascontiguousarray(stores.drift[order].T)
        self.drift[:1] += self.gains.retention * stores.initial[order]
        self.store_home = layout.homes_of_stores.of
        self.offer_home = layout.homes_of_offers.of

    def parts(self, columns: np.ndarray) -> dict[str, np.ndarray]:
        """Views of [T, V] by the kind of variable."""
        return {name: columns[:, where] for name, where in self.layout.columns.items()}

    def gradient(self, point: Point) -> np.ndarray:
        """d Lagrangian / dx without the bounds' multipliers: [T, V]."""
        layout, gains = self.layout, self.gains
        gradient = layout.curvature * point.x
        gradient += layout.cost
        part = self.parts(gradient)
        price = point.home_price
        part["offers"] -= price[:, self.offer_home]
        at_store = price[:, self.store_home]
        pulled = gains.charging * at_store
        part["up"] += pulled - gains.up * point.value
        part["down"] += gains.down * point.value - pulled
        part["state"] += point.value - gains.injecting * at_store
        part["state"][:-1] -= gains.retention * point.value[1:]
        part["net"] += price - point.zone_price[:, layout.home_zone]
        links = layout.links
        part["flow"] -= (
            links.near * point.zone_price[:, links.lower] + links.far * point.zone_price[:, links.upper]
        )
        return gradient

    def residuals(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each equation lacks: states [T, B], homes [T, H], zones [T, Z]."""
        layout, gains, part = self.layout, self.gains, self.parts(x)
        change = part["state"].copy()
        change[1:] -= gains.retention * part["state"][:-1]
        moved = gains.up * part["up"] - gains.down * part["down"] + self.drift
        homes = layout.fixed + self.injections(x) - part["net"]
        return moved - change, homes, -self.balances(part["net"], part["flow"])

    def injections(self, x: np.ndarray) -> np.ndarray:
        """What offers and stores inject, by home: [T, H]."""
        layout, gains, part = self.layout, self.gains, self.parts(x)
        stores = gains.charging * (part["down"] - part["up"]) + gains.injecting * part["state"]
        return layout.homes_of_offers.sum(part["offers"]) + layout.homes_of_stores.sum(stores)

    def balances(self, net: np.ndarray, flow: np.ndarray) -> np.ndarray:
        """Net injection of each zone with its lines: [T, Z]."""
        layout, links = self.layout, self.layout.links
        total = layout.zones_of_homes.sum(net).copy()
        for link, (lower, upper) in enumerate(zip(links.lower, links.upper, strict=True)):
            total[:, lower] += links.near[link] * flow[:, link]
            total[:, upper] += links.far[link] * flow[:, link]
        return total


class Newton:
    """The system at one point, factorised.

    stiffness: [T, V] second derivative w of every variable's own cost and barrier.
    """

    def __init__(self, equations: Equations, stiffness: np.ndarray) -> None:
        self.equations, self.layout, self.gains = equations, equations.layout, equations.gains
        self.free = equations.parts(1 / stiffness)
        self.controls = eliminate_controls(self.gains, self.free["up"], self.free["down"])
        layout, store_home = self.layout, equations.store_home
        own = layout.homes_of_offers.sum(self.free["offers"]) + layout.homes_of_stores.sum(self.controls.own)
        own = own + SLACK * layout.capped
        stiff = equations.parts(stiffness)
        self.own = own  # response of a home's injection to its price while states stay
        self.cap = np.where(layout.capped, stiff["net"], 0)
        self.share = 1 / (1 + self.cap * own)  # of a change of the zone's price that gets behind the cap
        held = (self.cap * self.share)[:, store_home]
        self.between = self.controls.stiffness + self.controls.pull**2 * held
        self.chains = Chains(self.gains.retention, stiff["state"] + self.gains.injecting * held, self.between)

    @cached_property
    def zones(self) -> ZoneFactor:
        """The price rows, factorised."""
        layout = self.layout
        return ZoneFactor(layout.parent, self.responses(), layout.links, self.free["flow"])

    def responses(self) -> np.ndarray:
        """d net injection / d price of each zone without its lines: [Z, T, T]."""
        layout, store_home = self.layout, self.equations.store_home
        share = self.share[:, store_home]
        ends = np.searchsorted(layout.home_zone[store_home], np.arange(len(layout.parent) + 1))
        zones = [slice(first, last) for first, last in pairwise(ends)]
        blocks = self.chains.responses(share * self.controls.pull, share * self.gains.injecting, zones)
        direct = layout.zones_of_homes.sum(self.share * self.own)
        slots = range(len(direct))
        for zone, block in enumerate(blocks):
            block[slots, slots] += direct[:, zone] + SLACK
        return blocks

    def step(
        self,
        push: np.ndarray,
        lacking: tuple[np.ndarray, np.ndarray, np.ndarray],
        given: np.ndarray | None = None,
    ) -> Point:
        """The step that answers a push [T, V] on every variable and makes good what the equations lack.

        given: [T, n] how the prices of the program's own zones change; if None, as the balances need.
        """
        prepared = self._prepare(push, lacking)
        still = self._homes(prepared, np.zeros((len(push), len(self.layout.parent))))
        flow = self.free["flow"] * prepared.part["flow"]
        balance = lacking[2] - self.equations.balances(still.net, flow)
        zone_price = self.zones.solve(balance) if given is None else self.zones.follow(balance, given)
        return self._unfold(prepared, self._homes(prepared, zone_price), zone_price)

    def _prepare(self, push: np.ndarray, lacking: tuple[np.ndarray, np.ndarray, np.ndarray]) -> "_Pushes":
        """What offers and controls do at unchanged prices and states."""
        part, free, gains, controls = self.equations.parts(push), self.free, self.gains, self.controls
        up, down = part["up"] * free["up"], part["down"] * free["down"]
        change = gains.up * up - gains.down * down
        injected = gains.charging * (down - up) + controls.pull * change
        homes = self.layout.homes_of_offers.sum(part["offers"] * free["offers"])
        homes = homes + self.layout.homes_of_stores.sum(injected) + lacking[1]
        cap_push = np.where(self.layout.capped, part["net"], 0)
        return _Pushes(part, change, homes, cap_push, lacking[0])

    def _homes(self, pushes: "_Pushes", zone_price: np.ndarray) -> "_Homes":
        """States, net injections and prices behind the caps, at given changes of the zones' prices."""
        gains, controls, store_home = self.gains, self.controls, self.equations.store_home
        outer = self.share * (zone_price[:, self.layout.home_zone] + pushes.cap)
        price = outer - self.cap * self.share * pushes.homes
        at_store = price[:, store_home]
        tension = controls.pull * gains.charging * at_store - controls.stiffness * pushes.change
        tension -= self.between * pushes.lacking
        state_push = pushes.part["state"] + gains.injecting * at_store - tension
        state_push[:-1] += gains.retention * tension[1:]
        state = self.chains.solve(state_push)
        moved = state - pushes.lacking
        moved[1:] -= gains.retention * state[:-1]
        extra = self.layout.homes_of_stores.sum(gains.injecting * state - controls.pull * moved)
        net = self.own * outer + self.share * (pushes.homes + extra)
        price = price - self.cap * self.share * extra
        return _Homes(state, moved, net, price)

    def _unfold(self, pushes: "_Pushes", homes: "_Homes", zone_price: np.ndarray) -> Point:
        """Every variable's step, from those of the states and prices."""
        gains, free, part, links = self.gains, self.free, pushes.part, self.layout.links
        at_store = homes.price[:, self.equations.store_home]
        value = self.controls.stiffness * (homes.moved - pushes.change) + self.controls.pull * at_store
        pulled = gains.charging * at_store
        at_links = links.near * zone_price[:, links.lower] + links.far * zone_price[:, links.upper]
        x = np.concatenate(
            [
                free["offers"] * (part["offers"] + homes.price[:, self.equations.offer_home]),
                free["up"] * (part["up"] + gains.up * value - pulled),
                free["down"] * (part["down"] - gains.down * value + pulled),
                homes.state,
                homes.net,
                free["flow"] * (part["flow"] + at_links),
            ],
            axis=1,
        )
        return Point(x, zone_price, homes.price, value)


@dataclass(frozen=True)
class _Pushes:
    """change: of the states by the controls. homes: injected, and what the homes lack. lacking: of the states."""

    part: dict[str, np.ndarray]
    change: np.ndarray
    homes: np.ndarray
    cap: np.ndarray
    lacking: np.ndarray


@dataclass(frozen=True)
class _Homes:
    """Steps of the states, of their changes, of the homes' net injections and of the prices behind the caps."""

    state: np.ndarray
    moved: np.ndarray
    net: np.ndarray
    price: np.ndarray
