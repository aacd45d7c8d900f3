"""Every contract fits an Ethereum block with room to spare."""

from typing import Any

import pytest

from clearwatt.chain.deployment import CONTRACTS

ROOMY = 22_000
"""Bytes of runtime code; the limit since EIP-170 is 24576."""


@pytest.mark.parametrize("name", CONTRACTS)
def test_runtime_code__below_the_limit_with_room(project: Any, name: str) -> None:
    code = getattr(project, name).contract_type.runtime_bytecode.bytecode
    size = len(code.removeprefix("0x")) // 2
    assert 0 < size < ROOMY
