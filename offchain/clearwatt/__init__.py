"""Clearwatt: local energy markets whose clearing is verified on chain.

Every quantity is an integer (``clearwatt.units``), every market is a tree of zones
(``clearwatt.grid``), and every bid is a bundle of steps (``clearwatt.bids``). ``clearwatt.clearing``
finds the welfare optimum and checks it; ``clearwatt.chain`` talks to the contracts;
``clearwatt.oracle`` joins the two; ``clearwatt.community`` simulates a community on real data.
"""

__version__ = "0.1.0"
