"""Multi-period economic dispatch of a community: who generates, stores and consumes how much, and at what price.

    from clearwatt.dispatch.assets import Battery, Load, Retailer, Solar
    from clearwatt.dispatch.scenario import Scenario
    from clearwatt.dispatch.solve import solve

A scenario (`assets`, `scenario`, `files`) is built into the normal form (`build`, `program`), which the solvers take
(`solve` chooses: `structured`, `central`) and `certificate` judges; `result` is what its owners see and `rounding`
what a market settles. `distributed` solves the same program without anybody showing their costs.
"""
