"""Many programs at once: on processes and on a Dask cluster, with the same results."""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from distributed import LocalCluster

from benchmarks.dispatch_cases import community
from clearwatt.dispatch import structured
from clearwatt.dispatch.assets import Load, Retailer
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.scale import Failure, solve_many
from clearwatt.dispatch.scenario import Scenario
from tests.offchain.dispatch.jobs import square_unless, threads_of_numpy


def house(demand_kw: float) -> Scenario:
    """An hour of one load and the retailer."""
    retailer = Retailer(name="retailer", import_price=0.3, export_price=0.1, import_kw=9.0, export_kw=9.0)
    return Scenario(1, 1.0, assets=(Load(name="house", demand_kw=demand_kw), retailer))


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a scheduler with two workers in this process."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        yield cluster.scheduler_address


def test_solve_many__processes_and_dask__same_results_in_order(cluster: str) -> None:
    cases = {f"community {seed}": community(12, slots=24, seed=seed) for seed in range(5)}
    here = solve_many(cases, processes=2)
    there = solve_many(cases, scheduler=cluster)
    assert list(here) == list(there) == list(cases)
    for name, program in cases.items():
        alone = structured.solve(program)
        for found in (here[name], there[name]):
            np.testing.assert_array_equal(found.zone_price, alone.zone_price)
            np.testing.assert_array_equal(found.state, alone.state)
            assert found.objective == alone.objective


def test_solve_many__scenarios__dispatches_come_back_whole() -> None:
    scenarios = {str(kw): house(kw) for kw in (2.0, 4.0)}
    found = solve_many(scenarios, processes=1)
    assert {name: dispatch.cost for name, dispatch in found.items()} == pytest.approx(
        {"2.0": 0.6, "4.0": 1.2}
    )
    assert found["4.0"].zone_price == pytest.approx(np.full((1, 1), 0.3))


@pytest.mark.parametrize("on_cluster", [False, True])
def test_solve_many__some_cases_fail__said_by_name_and_others_finish(cluster: str, on_cluster: bool) -> None:
    cases = {"two": 2, "stuck": "infeasible", "wrong": "broken", "nine": 9}
    found = solve_many(cases, square_unless, processes=1, scheduler=cluster if on_cluster else None)
    assert found["two"] == 4
    assert found["stuck"] == Failure("Battery 3 lacks 2 kWh.")
    assert "division" in found["wrong"].reason
    assert found["nine"] == 81


def test_solve_many__process_dies__named_and_others_finish() -> None:
    cases = [(str(number), number) for number in range(6)]
    cases.insert(3, ("unlucky", "deadly"))
    found = solve_many(cases, square_unless, processes=1)
    assert "died" in found.pop("unlucky").reason
    assert found == {str(number): number**2 for number in range(6)}


def test_solve_many__cases_from_generator__few_taken_ahead_and_progress_told() -> None:
    taken: list[int] = []
    ended: list[tuple[int, int]] = []

    def cases() -> Iterator[tuple[str, int]]:
        for number in range(12):
            taken.append(number)
            yield str(number), number

    def progress(name: str, count: int) -> None:
        ended.append((count, len(taken)))

    found = solve_many(cases(), square_unless, processes=1, progress=progress)
    assert list(found) == [str(number) for number in range(12)]
    assert [count for count, _ in ended] == list(range(1, 13))
    assert all(ahead - count <= 2 for count, ahead in ended)


def test_solve_many__processes__numpy_has_one_thread_each_and_caller_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert solve_many({"threads": None}, threads_of_numpy, processes=1) == {"threads": "1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_solve_many__nothing_to_do__empty() -> None:
    assert solve_many({}, square_unless) == {}


def test_solve_many__two_cases_of_one_name__refused() -> None:
    with pytest.raises(DispatchError, match="Two cases are called A"):
        solve_many([("A", 1), ("A", 2)], square_unless, processes=1)


def test_solve_many__no_scheduler_there__said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clearwatt.dispatch.scale.CONNECT_SECONDS", 1)
    with pytest.raises(DispatchError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        solve_many({"A": 1}, square_unless, scheduler="tcp://127.0.0.1:9")


def test_solve_many__address_is_none__said_in_a_sentence() -> None:
    with pytest.raises(DispatchError, match="No Dask scheduler answers at somewhere"):
        solve_many({"A": 1}, square_unless, scheduler="somewhere")
