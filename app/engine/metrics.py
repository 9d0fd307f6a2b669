"""What the engine counts."""

from prometheus_client import Counter, Histogram

from app.core.metrics import REGISTRY

CLAIMS = Counter("slipway_engine_claims", "Operations claimed.", registry=REGISTRY)
CLAIMS_LOST = Counter(
    "slipway_engine_claims_lost", "Claims whose process died or stood still beyond their lease.", registry=REGISTRY
)
FENCED = Counter("slipway_engine_fenced", "Results thrown away because the lease had been lost.", registry=REGISTRY)
DEAD_LETTERS = Counter("slipway_engine_dead_letters", "Operations given up on an unforeseen error.", registry=REGISTRY)
UNWRITTEN = Counter(
    "slipway_engine_results_unwritten", "Results of calls that could not be written.", registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "slipway_engine_reconcile_seconds", "Time of one reconcile call.", ["kind"], registry=REGISTRY
)
