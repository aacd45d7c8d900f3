"""The same dispatch by members who keep their costs to themselves and exchange messages only.

`price_newton.solve` is the method to use: rounds of prices, answered by net injections and their sensitivities, which
are added under masks. `admm.solve` and `dual_gradient.solve` are the methods of the literature, to compare
with; `single_period` is exact for one slot without any rounds of iteration. `community.split` makes
the members of a program, `transport` brings messages to them, in this process or in others.
"""
