"""Kinds of operations that hold others together: such a parent holds no lock and does nothing itself."""

CLUSTER_APPLY = "cluster.apply"
"""A cluster with what its request holds, or with all that goes with it."""

GROUP_KINDS = frozenset({CLUSTER_APPLY})
"""All of them; an operation of one is not the resource's own, whatever `resource_id` it carries."""
