"""Chains that tests may ask for, one of each kind for the whole run. `nodes` has fresh ones."""

import logging
import sys
from collections.abc import Iterator

import pytest

from tests import nodes

RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_configure() -> None:
    """Keep Ape's reports on every transaction, and on the chain it stops at exit, out of the test report."""
    if ape_logging := sys.modules.get("ape.logging"):
        ape_logging.logger.set_level(logging.WARNING)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Undo what py-evm does when Ape imports it: with its limit, deep nesting overflows the stack and kills Python."""
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.fixture(scope="session")
def anvil_url() -> Iterator[str]:
    with nodes.anvil() as url:
        yield url


@pytest.fixture(scope="session")
def ganache_url() -> Iterator[str]:
    with nodes.ganache() as url:
        yield url
