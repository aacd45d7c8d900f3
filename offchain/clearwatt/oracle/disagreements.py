"""On what two oracles' reports on the same auction differ, in words."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from clearwatt.chain import codec
from clearwatt.chain.market import PRICES
from clearwatt.oracle.reports import Input, Report

IMBALANCE, SUBSTITUTE, INPUTS = "imbalance", "substitute", "inputs"


class Disagreement(NamedTuple):
    """One thing another oracle says otherwise. about: IMBALANCE, SUBSTITUTE or INPUTS."""

    about: str
    text: str


def disagreements(ours: Report, theirs: Report, zones: int, slots: int) -> list[Disagreement]:
    """In what both speak of; a subject that only one reports on yet is none. zones, slots: of the market."""
    shared = [subject for subject in ours.contents if subject in theirs.contents]
    return [difference for subject in shared for difference in _about(subject, ours, theirs, zones, slots)]


def _about(subject: str, ours: Report, theirs: Report, zones: int, slots: int) -> Iterator[Disagreement]:
    there, here = theirs.contents[subject], ours.contents[subject]
    if subject == PRICES:
        members = {*ours.inputs, *theirs.inputs} - ours.substitutes.keys() - theirs.substitutes.keys()
        if there != here:
            yield Disagreement(IMBALANCE, _prices(there, here, zones, slots))
    else:
        members = {subject}
        if there != here:
            yield Disagreement(SUBSTITUTE, f"of member {subject}, {_readings(there, here)}")
    for member in sorted(members):
        text = _input(member, theirs.inputs.get(member), ours.inputs.get(member))
        if text:
            yield Disagreement(INPUTS, text)


def _prices(there: bytes, here: bytes, zones: int, slots: int) -> str:
    try:
        sides = list(
            zip(
                ("surplus", "shortage"),
                codec.unpack_imbalance(there, zones, slots),
                codec.unpack_imbalance(here, zones, slots),
                strict=True,
            )
        )
    except codec.CodecError as error:
        return f"its imbalance prices are none of this market: {error}"
    found = [
        f"{side} price of zone {zone}, slot {slot} is {theirs[zone, slot]}, here {ours[zone, slot]}"
        for side, theirs, ours in sides
        for zone, slot in np.argwhere(theirs != ours).tolist()
    ]
    return _first_of(found)


def _readings(there: bytes, here: bytes) -> str:
    try:
        theirs, ours = codec.unpack_readings(there), codec.unpack_readings(here)
    except codec.CodecError as error:
        return f"what it reports are no readings: {error}"
    if len(theirs) != len(ours):
        return f"it reports {len(theirs)} readings, here {len(ours)}"
    pairs = enumerate(zip(theirs, ours, strict=True))
    return _first_of([f"slot {slot} is {a} Wh, here {b} Wh" for slot, (a, b) in pairs if a != b])


def _input(member: str, theirs: Input | None, ours: Input | None) -> str:
    if theirs == ours:
        return ""
    if theirs is None and ours is not None:
        return f"it lacks the {ours.kind} of member {member}"
    if theirs is not None and ours is None:
        return f"it has the {theirs.kind} of member {member}, which is missing here"
    assert theirs
    assert ours
    if theirs.kind == ours.kind:
        return f"it has another {ours.kind} of member {member}"
    return f"it goes by the {theirs.kind} of member {member}, here by the {ours.kind}"


def _first_of(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - 1} more" if len(texts) > 1 else ""
    return texts[0] + more
