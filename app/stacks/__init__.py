"""Spec to CloudFormation template: pure functions, no I/O, no clock, no randomness.

The same input gives the same bytes, so a template can be rendered again at any time and compared. The inputs are
frozen dataclasses of this package's own; the features map their resources to them. Nothing here knows a database
row or an AWS client.
"""
