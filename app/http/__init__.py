"""HTTP manners: problems, request ids, strict bodies, idempotency keys, ETags, pages. Knows no feature.

Only routers, `dependencies.py` and the roots import it.
"""
