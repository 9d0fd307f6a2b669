"""Kinds of resources that are a stack below a cluster: what is special to each is in its file, all else stands once.

Begin with `kind.py`, which says what must be known of a kind, and `all.py`, which lists them.
"""
