"""Gas of clearing stays just above what was last measured: gas is exact, so it can be tested; time is not."""

from typing import Any

import pytest

from tests.contracts.gas_profile import Shape, profile

LIMITS = [(Shape(4, 100, 2), 1_500), (Shape(96, 20, 1), 1_150), (Shape(96, 50, 1), 800)]


@pytest.mark.parametrize(("shape", "limit"), LIMITS, ids=str)
def test_clearing_gas__per_step__within_limit(
    project: Any, chain: Any, accounts: Any, shape: Shape, limit: int
) -> None:
    measured = profile(project, chain, accounts, shape)
    assert measured.per_step(measured.clear) <= limit
