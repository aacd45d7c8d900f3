"""From a scenario to its dispatch: which method, and what to do when it does not get there.

"auto" takes what is exact and fast for the case:

- where whole decisions remain (on or off, when to start), HiGHS decides them, and prices come from the linear program
  with them fixed; that charging excludes discharging is tried without integers first, since it mostly holds by itself;
- small linear programs go to HiGHS for the prices of a vertex;
- everything else to the structured interior point. Should it stop short of its accuracy, PIQP (quadratic) or HiGHS
  (linear) answers in its place, and the result says so.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from clearwatt.dispatch import structured
from clearwatt.dispatch.build import Built, build
from clearwatt.dispatch.central import solve_highs, solve_piqp
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.errors import DispatchError, NotConverged
from clearwatt.dispatch.infeasible import Names
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.result import Dispatch, dispatch_of
from clearwatt.dispatch.scenario import Scenario

log = logging.getLogger(__name__)

Method = Literal["auto", "structured", "piqp", "highs", "highs-simplex", "highs-ipm"]
METHODS: tuple[Method, ...] = get_args(Method)

SMALL = 10_000
"""Entries of offers and stores; linear programs up to this size go to HiGHS, which is faster below it."""
LARGE = 300_000
"""Entries of offers and stores; quadratic programs beyond that are not given to PIQP, which runs out of stack."""
ACCURATE = 1e-6
"""Relative gap, and kWh out of balance per kWh, above which an answer of the structured method is not taken."""
BOTH = 1e-6
"""kWh; a store that charges and discharges less than this in a slot does not do both."""


def solve(scenario: Scenario, method: Method = "auto") -> Dispatch:
    """The schedule of greatest welfare, its prices and its certificate.

    Raises `Infeasible` with what stands in the way, `NotConverged` if no method gets there, `DispatchError`
    if the method is not one for this scenario.
    """
    return solve_built(build(scenario), method)


def solve_built(built: Built, method: Method = "auto") -> Dispatch:
    """`solve` for a scenario that is built already."""
    if method == "auto":
        solution, fallback = _auto(built.program, built.names)
    else:
        solution, fallback = SOLVERS[method](built.program, built.names), ""
    return dispatch_of(built, solution, fallback)


def _structured(program: Program, names: Names) -> Solution:
    """The structured method's answer, if it is one: raises NotConverged where the certificate says otherwise."""
    if program.has_integers:
        raise DispatchError(
            "the structured method knows no whole decisions, and this dispatch has some; use highs"
        )
    solution = structured.solve(program)
    proof = certify(program, solution)
    largest = np.abs(solution.net).max(initial=1.0)
    if not (proof.gap <= ACCURATE and proof.primal_residual <= ACCURATE * largest):
        raise NotConverged(
            f"the structured interior point left a gap of {proof.gap:.1e}, "
            f"{proof.primal_residual:.1e} kWh out of balance"
        )
    return solution


SOLVERS: dict[Method, Callable[[Program, Names], Solution]] = {
    "structured": _structured,
    "piqp": solve_piqp,
    "highs": lambda program, names: solve_highs(program, "choose", names),
    "highs-simplex": lambda program, names: solve_highs(program, "simplex", names),
    "highs-ipm": lambda program, names: solve_highs(program, "ipm", names),
}


def _auto(program: Program, names: Names) -> tuple[Solution, str]:
    """The solution, and why another method answered than the first."""
    if not program.has_integers:
        return _continuous(program, names)
    relaxed = replace(
        program, stores=replace(program.stores, exclusive=np.zeros_like(program.stores.exclusive))
    )
    if not relaxed.has_integers:
        solution, fallback = _continuous(relaxed, names)
        solution = _netted(program, solution)
        if not _does_both(program, solution):
            return solution, fallback
        log.info("charging and discharging at once would pay: deciding between them")
    if not program.is_linear:
        raise DispatchError(
            "whole decisions together with quadratic costs have no solver here; make the curvatures 0, or drop on_off, "
            "exclusive and load runs"
        )
    return solve_highs(program, "choose", names), ""


def _continuous(program: Program, names: Names) -> tuple[Solution, str]:
    size = program.offers.low.size + program.stores.low.size
    if program.is_linear and size <= SMALL:
        return solve_highs(program, "choose", names), ""
    try:
        return _structured(program, names), ""
    except NotConverged as error:
        reason = str(error)
        if not program.is_linear and size > LARGE:
            raise
    log.warning("%s; %s solves it again", reason, "HiGHS" if program.is_linear else "PIQP")
    if program.is_linear:
        return solve_highs(program, "choose", names), reason
    return solve_piqp(program, names), reason


def _netted(program: Program, solution: Solution) -> Solution:
    """The solution without what lossless stores charge and discharge at once, which changes nothing but wear."""
    stores = program.stores
    lossless = stores.exclusive & (stores.up_gain == stores.down_gain)
    both = np.minimum(solution.up, solution.down) * lossless[:, None]
    return replace(solution, up=solution.up - both, down=solution.down - both)


def _does_both(program: Program, solution: Solution) -> bool:
    both = np.minimum(solution.up, solution.down)[program.stores.exclusive]
    return bool((both > BOTH).any())
