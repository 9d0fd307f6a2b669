"""Measurements of Slipway as a whole, on the local cloud; `python -m benchmarks` runs them, one table each.

Machines differ, so a figure that another machine should be able to hold against ours is a ratio of two things measured
in one run. Nothing is written anywhere but to the standard output; every process is started on a free port and stopped.
"""
