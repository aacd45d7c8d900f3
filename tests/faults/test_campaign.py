"""A short campaign; the seed is fixed, the moments are as they come."""

import os
from pathlib import Path

from tests.faults.campaign import play, table, verdict
from tests.faults.world import world

SEED = 1
AUCTIONS = int(os.environ.get("CLEARWATT_FAULT_AUCTIONS", "2"))


def test_campaign__faults_in_every_phase__settled_once_and_nothing_lost(tmp_path: Path) -> None:
    with world(tmp_path, SEED) as one:
        seen = play(one, AUCTIONS, print)
        print(table(seen))
        assert verdict(one, seen) == []
        assert len(seen) == 4 * AUCTIONS
        assert not any("Traceback" in operator.log() for operator in one.operators)
