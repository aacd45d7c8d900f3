"""Sessions at the day whose gate is closed."""

from typing import Any

import pytest

from tests.contracts.chunked.session import Session
from tests.contracts.day import Day


@pytest.fixture
def session(closed_day: Day, stranger: Any) -> Session:
    """A stranger's, not begun."""
    return Session(closed_day, stranger)


@pytest.fixture
def rival(closed_day: Day, accounts: Any) -> Session:
    """Somebody else's, not begun."""
    return Session(closed_day, accounts[8])
