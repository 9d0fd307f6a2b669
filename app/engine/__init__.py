"""The background engine: claim, lease, fence, reconcile, retry. It knows operations, and no feature.

An operation row is the queue. Whoever claims it may do one short thing (`Reconciler.reconcile`) and writes what
came of it under the fence `id + gen`; while an operation waits nobody owns it, so nothing has to detect a dead owner.
"""
