"""Clearing: the exact solver of a tree of zones, and the check that its result is the optimum."""
