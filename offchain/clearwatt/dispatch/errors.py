"""What goes wrong in dispatch, in words for the person who asked."""

from clearwatt.errors import UserError


class DispatchError(UserError):
    """No dispatch; the message says why in one sentence."""


class Infeasible(DispatchError):
    """No schedule keeps every limit. The message names the asset, balance or cap that stands in the way, and by
    how much."""

    exit_code = 1


class NotConverged(DispatchError):
    """A solver gave up before its answer was accurate enough."""
