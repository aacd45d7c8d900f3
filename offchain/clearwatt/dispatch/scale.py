"""Many dispatch problems at once: on this machine's cores, or on a Dask cluster when its scheduler is named.

One call, `solve_many`. What goes wrong with one case is said under its name and leaves the others alone, also when
a process dies of it. Only a few cases are on their way at a time, so that they may come from a generator.
"""

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from clearwatt.dispatch import structured
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.result import Dispatch
from clearwatt.dispatch.scenario import Scenario
from clearwatt.dispatch.solve import solve as solve_scenario
from clearwatt.errors import UserError

logger = logging.getLogger(__name__)

Case = TypeVar("Case")
Result = TypeVar("Result")
Progress = Callable[[str, int], None]
"""Called with the name of each case that has ended, well or not, and with how many have."""
Named = tuple[str, Any]

CONNECT_SECONDS = 10
THREAD_LIMITS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"


@dataclass(frozen=True)
class Failure:
    """In place of a result: why there is none, in a sentence."""

    reason: str


def solve_case(case: Scenario | Program) -> Dispatch | Solution:
    """A scenario's dispatch, or the solution of a program without integers."""
    return solve_scenario(case) if isinstance(case, Scenario) else structured.solve(case)


def solve_many(
    cases: Mapping[str, Case] | Iterable[tuple[str, Case]],
    solve: Callable[[Case], Result] = solve_case,
    *,
    scheduler: str | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Result | Failure]:
    """Results by name, in the order of the cases.

    solve: a function that another process can import.
    scheduler: address of a Dask scheduler, such as tcp://10.0.0.1:8786; without one, processes of this machine.
    processes: how many of them, by default one per core; with a scheduler the cluster's own count holds.
    Raises DispatchError if two cases have one name or no scheduler answers.
    """
    named = cases.items() if isinstance(cases, Mapping) else cases
    run = _Run(solve, progress)
    if scheduler is None:
        run.in_processes(run.take(named), processes or os.cpu_count() or 1)
    else:
        with _cluster(scheduler) as (executor, workers):
            run.drain(executor, run.take(named), 2 * workers)
    return run.results


class _Run:
    def __init__(self, solve: Callable[[Any], Any], progress: Progress | None):
        self.solve, self.progress = solve, progress
        self.results: dict[str, Any] = {}
        self.ended = 0

    def take(self, named: Iterable[Named]) -> Iterator[Named]:
        """Enters each case as it sets out, so that the results have the order of the cases."""
        for name, case in named:
            if name in self.results:
                raise DispatchError(f"Two cases are called {name}.")
            self.results[name] = None
            yield name, case

    def in_processes(self, queue: Iterator[Named], count: int) -> None:
        """When a process dies, its whole pool does: the cases on their way then try again one by one."""
        with _one_thread_each():
            while lost := self._drain_pool(queue, count, 2 * count):
                again = iter(lost)
                while deadly := self._drain_pool(again, 1, 1):
                    self._end(
                        deadly[0][0], Failure("The process that solved it died, perhaps for lack of memory.")
                    )

    def _drain_pool(self, queue: Iterator[Named], count: int, window: int) -> list[Named]:
        with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
            return self.drain(pool, queue, window)

    def drain(self, executor: Executor, queue: Iterator[Named], window: int) -> list[Named]:
        """Works the queue off, `window` cases at a time, or until the executor breaks: then the cases lost by that."""
        running: dict[Future[Any], Named] = {}
        lost: list[Named] = []
        while not lost:
            for name, case in islice(queue, window - len(running)):
                running[_submit(executor, self.solve, case)] = name, case
            if not running:
                break
            lost = self._receive(running, FIRST_COMPLETED)
        return lost + self._receive(running, ALL_COMPLETED)

    def _receive(self, running: dict[Future[Any], Named], until: str) -> list[Named]:
        lost = []
        for future in wait(running, return_when=until).done:
            name, case = running.pop(future)
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                lost.append((name, case))
            else:
                self._end(name, future.result() if error is None else Failure(_sentence(error)))
        return lost

    def _end(self, name: str, outcome: Any) -> None:
        self.results[name] = outcome
        self.ended += 1
        if self.progress is not None:
            self.progress(name, self.ended)


def _submit(executor: Executor, solve: Callable[[Any], Any], case: Any) -> Future[Any]:
    try:
        return executor.submit(_attempt, solve, case)
    except BrokenExecutor as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed


def _attempt(solve: Callable[[Any], Any], case: Any) -> Any:
    """In the worker. An error travels as its sentence: not every exception survives the way as an object."""
    try:
        return solve(case)
    except UserError as error:
        return Failure(str(error))
    except Exception as error:
        logger.exception("A case of solve_many failed")
        return Failure(_sentence(error))


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started meanwhile leave the cores to each other: numpy reads these variables when it is loaded."""
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """An executor on the cluster, and how many threads work there."""
    try:
        from distributed import Client
    except ImportError:
        raise DispatchError(
            "A Dask scheduler needs the package distributed: pip install clearwatt[scale]."
        ) from None
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise DispatchError(f"No Dask scheduler answers at {address}: {error}.") from None
    with client:
        if not (workers := sum(client.nthreads().values())):
            raise DispatchError(f"The Dask scheduler at {address} has no workers.")
        yield client.get_executor(), workers
