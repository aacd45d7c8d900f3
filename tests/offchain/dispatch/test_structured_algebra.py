"""The eliminations of the structured method against plain dense linear algebra."""

import numpy as np
import pytest

from clearwatt.dispatch.blocks import Chains, Gains, eliminate_controls
from clearwatt.dispatch.layout import Links, lay_out
from clearwatt.dispatch.newton import Equations, Newton
from clearwatt.dispatch.zones import ZoneFactor
from tests.offchain.dispatch.random_programs import random_program

SLOTS, STORES = 7, 5


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


def chain_matrices(retention: np.ndarray, own: np.ndarray, between: np.ndarray) -> list[np.ndarray]:
    """Each store's matrix: own stiffness, and that of the change from one state to the next."""
    return [
        np.diag(own[:, store])
        + change_matrix(retention[store]).T @ np.diag(between[:, store]) @ change_matrix(retention[store])
        for store in range(len(retention))
    ]


def change_matrix(retention: float) -> np.ndarray:
    return np.eye(SLOTS) - retention * np.eye(SLOTS, k=-1)


@pytest.mark.parametrize("spread", [0, 3])
def test_chains__solve__inverts_each_stores_matrix(rng: np.random.Generator, spread: int) -> None:
    retention = rng.uniform(0.5, 1, STORES)
    own, between = (10 ** rng.uniform(-spread, spread, (SLOTS, STORES)) for _ in range(2))
    push = rng.normal(size=(SLOTS, STORES))
    state = Chains(retention, own, between).solve(push)
    for store, matrix in enumerate(chain_matrices(retention, own, between)):
        np.testing.assert_allclose(matrix @ state[:, store], push[:, store], rtol=1e-9, atol=1e-9)


def test_chains__stiffness_thirty_orders_apart__no_digit_is_lost() -> None:
    """Two states held together rigidly share the one soft spring: textbook elimination would see none."""
    chains = Chains(np.ones(1), np.array([[0.0], [1e-10]]), np.array([[0.0], [1e20]]))
    np.testing.assert_allclose(chains.solve(np.array([[1.0], [0.0]])), [[1e10], [1e10]], rtol=1e-12)


def test_chains__responses__sum_of_dense_inverses_by_zone(rng: np.random.Generator) -> None:
    retention = rng.uniform(0.5, 1, STORES)
    own, between = (10 ** rng.uniform(-2, 2, (SLOTS, STORES)) for _ in range(2))
    pull, inject = (rng.uniform(0, 1, (SLOTS, STORES)) for _ in range(2))
    pull[:, 3:], inject[:, :3] = 0, 0
    zones = [slice(0, 2), slice(2, 2), slice(2, STORES)]
    found = Chains(retention, own, between).responses(pull, inject, zones)
    matrices = chain_matrices(retention, own, between)
    for zone, columns in enumerate(zones):
        expected = np.zeros((SLOTS, SLOTS))
        for store in range(columns.start, columns.stop):
            lead = np.diag(inject[:, store]) - pull[:, [store]] * change_matrix(retention[store])
            expected += lead @ np.linalg.inv(matrices[store]) @ lead.T
        np.testing.assert_allclose(found[zone], expected, rtol=1e-9, atol=1e-12)


def test_eliminate_controls__lossless_battery__answers_prices_by_its_state_alone() -> None:
    gains = Gains(np.ones(1), np.ones(1), np.ones(1), np.ones(1), np.zeros(1))
    controls = eliminate_controls(gains, np.array([[2.0]]), np.array([[3.0]]))
    assert controls.own == 0
    assert controls.pull == pytest.approx(1, rel=1e-8)
    assert controls.stiffness == pytest.approx(1 / 5, rel=1e-8)


def test_zone_factor__tree_with_losses__solves_the_dense_system(rng: np.random.Generator) -> None:
    parent = np.array([-1, 0, 1, 1])
    blocks = np.stack([half @ half.T + np.eye(SLOTS) for half in rng.normal(size=(4, SLOTS, SLOTS))])
    loss = np.array([0.1, 0.0, 0.05])
    lower = np.array([1, 2, 3, 1, 2, 3])
    one = np.ones(3)
    links = Links(lower, parent[lower], np.concatenate([-one, 1 - loss]), np.concatenate([1 - loss, -one]))
    freedom = 10 ** rng.uniform(-3, 3, (SLOTS, 6))
    dense = dense_of_zones(blocks, links, freedom)
    balance = rng.normal(size=(SLOTS, 4))
    prices = ZoneFactor(parent, blocks.copy(), links, freedom).solve(balance)
    np.testing.assert_allclose(dense @ prices.T.ravel(), balance.T.ravel(), rtol=1e-8, atol=1e-8)


def dense_of_zones(blocks: np.ndarray, links: Links, freedom: np.ndarray) -> np.ndarray:
    """[Z T, Z T] all zones' blocks, with what the links add between them."""
    zones, slots = blocks.shape[:2]
    dense = np.zeros((zones, slots, zones, slots))
    for zone in range(zones):
        dense[zone, :, zone, :] = blocks[zone]
    each = np.arange(slots)
    for link, (low, high) in enumerate(zip(links.lower, links.upper, strict=True)):
        ends = ((low, links.near[link]), (high, links.far[link]))
        for zone, here in ends:
            for other, there in ends:
                dense[zone, each, other, each] += here * there * freedom[:, link]
    return dense.reshape(zones * slots, zones * slots)


@pytest.mark.parametrize("seed", range(12))
def test_newton__random_program__step_solves_the_unreduced_system(seed: int) -> None:
    """Push and residuals are answered to rounding and the slack that a step leaves on purpose."""
    layout = lay_out(random_program(seed, slots=5, roomy=True))
    equations = Equations(layout)
    rng = np.random.default_rng(seed)
    stiffness = layout.stiffness + np.where(layout.live, 10 ** rng.uniform(-1, 1, layout.low.shape), 0)
    push = np.where(layout.live, rng.normal(size=layout.low.shape), 0)
    nothing = np.zeros_like(layout.low)
    some_move = np.where(layout.live, rng.normal(size=layout.low.shape), 0)
    net = equations.parts(some_move)["net"]
    net[...] = np.where(layout.capped, net, equations.injections(some_move))
    lacking = made_good(equations, some_move)
    step = Newton(equations, stiffness).step(push, lacking)
    for rows, wanted in zip(made_good(equations, step.x), lacking, strict=True):
        np.testing.assert_allclose(rows, wanted, atol=1e-6)
    still = type(step)(nothing, step.zone_price, step.home_price, step.value)
    tilt = stiffness * step.x + equations.gradient(still) - layout.cost - push
    assert np.abs(tilt[layout.live]).max() < 1e-6


def made_good(equations: Equations, move: np.ndarray) -> tuple[np.ndarray, ...]:
    """By how much a move [T, V] changes what each equation lacks."""
    nothing = np.zeros_like(move)
    pairs = zip(equations.residuals(nothing), equations.residuals(move), strict=True)
    return tuple(before - after for before, after in pairs)
