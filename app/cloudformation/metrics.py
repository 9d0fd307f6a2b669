"""What the poller counts."""

from prometheus_client import Counter, Gauge

from app.core.metrics import REGISTRY

POLLS = Counter("slipway_poller_polls", "Polls of CloudFormation.", ["region", "outcome"], registry=REGISTRY)
POLL_INTERVAL = Gauge("slipway_poller_interval_seconds", "Time between two polls.", ["region"], registry=REGISTRY)
WATCHED = Gauge("slipway_poller_watched_stacks", "Stacks that operations wait for.", ["region"], registry=REGISTRY)
