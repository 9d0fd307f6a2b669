"""What templates of several kinds are made of: pure functions, no I/O, no clock, no randomness.

The same input gives the same bytes, so a template can be rendered again at any time and compared. Whole templates
stand beside the spec that they take (`clusters/template.py`, `kinds/`); only the registry's is here, with an input of
its own. Nothing here knows a database row or an AWS client.
"""
