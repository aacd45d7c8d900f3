"""Who the oracles are, and how many must sign."""

from typing import Any

import pytest

from tests.contracts.community import Community
from tests.contracts.refusals import Refusal, creation_refusal, refusal

NOBODY = "0x" + 40 * "0"
FIRST, SECOND, THIRD = ("0x" + 40 * digit for digit in "123")


def test_set_quorum__owner__replaces_signers_and_threshold(market: Community) -> None:
    receipt = market.quorum.setQuorum([FIRST, SECOND], 2, sender=market.owner)
    [event] = receipt.decode_logs(market.quorum.QuorumChanged)
    assert (event.signers, event.threshold) == ([FIRST, SECOND], 2)
    assert (market.quorum.signers(), market.quorum.threshold()) == ([FIRST, SECOND], 2)
    assert market.quorum.isSigner(FIRST)
    assert not any(market.quorum.isSigner(oracle.address) for oracle in market.oracles)


def test_set_quorum__stranger__refused(market: Community, stranger: Any) -> None:
    answer = refusal(market.quorum.setQuorum, [FIRST], 1, sender=stranger)
    assert answer == ("OwnableUnauthorizedAccount", stranger.address)


@pytest.mark.parametrize(
    ("signers", "threshold", "expected"),
    [
        ([FIRST], 0, ("QuorumImpossible", 1, 0)),
        ([FIRST, SECOND], 3, ("QuorumImpossible", 2, 3)),
        ([], 0, ("QuorumImpossible", 0, 0)),
        ([SECOND, FIRST], 1, ("SignersNotAscending", FIRST)),
        ([FIRST, SECOND, SECOND], 2, ("SignersNotAscending", SECOND)),
        ([NOBODY, FIRST], 1, ("SignersNotAscending", NOBODY)),
    ],
    ids=["no threshold", "threshold above signers", "nobody", "descending", "twice", "zero address"],
)
def test_set_quorum__impossible__refused(
    project: Any, market: Community, signers: list[str], threshold: int, expected: Refusal
) -> None:
    assert refusal(market.quorum.setQuorum, signers, threshold, sender=market.owner) == expected
    assert creation_refusal(project.OracleQuorum, market.owner, signers, threshold) == expected
