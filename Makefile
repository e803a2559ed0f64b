# `make` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
SOURCES := client shared services tests
# Two at once, for most of them wait; the tests of one file stay together and share what they may.
SIDE_BY_SIDE := -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run demo test unit property integration e2e compose-test lint type bench bench-celery bench-picture chaos fuzz up down clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(RUNTIME) ## set up, start the stack, run a Bell circuit, serve until Ctrl-C
	$(BIN)/qjet up --try examples/bell.qasm

demo: $(RUNTIME) ## the same with every example, on free ports, and exit
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
	$(BIN)/qjet up --http-port 0 --nats-port 0 --data-dir "$$data" --once \
		--try examples/bell.qasm \
		--try examples/ghz-20.qasm \
		--try examples/teleport.qasm \
		--try examples/qft-5.qasm \
		--try 'examples/clifford-100.qasm --method stabilizer' \
		--try examples/adder.qasm

test: $(DEV) ## all tests but the containers, the long chaos and the benches
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/unit tests/property tests/integration tests/e2e

unit property integration e2e: $(DEV) ## one level of the tests
	$(BIN)/pytest $(SIDE_BY_SIDE) tests/$@

compose-test: $(DEV) ## the containers: build, scale to three executors, run the API tests
	$(BIN)/pytest tests/compose

lint: $(DEV) ## ruff: rules and formatting
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

type: $(DEV) ## mypy, strict
	$(BIN)/mypy

bench: $(DEV) ## every speed aimed at, beside what it replaces; BENCH="--quick --only bell,mix"
	$(BIN)/python -m tests.bench.bench $(BENCH)

bench-celery: $(DEV) ## the same Bell against FastAPI + Celery + Redis; needs redis-server
	$(BIN)/pip install --quiet --editable '.[all,dev,bench-celery]'
	$(BIN)/python -m tests.bench.bench --only celery --out bench-results/celery.json $(BENCH)

bench-picture: $(DEV) ## docs/performance.svg from the last bench
	$(BIN)/python -m tests.bench.picture

fuzz: $(DEV) ## mutated programs, requests and messages to real services; FUZZ="--seed 7"
	$(BIN)/python -m tests.fuzz.fuzz $(FUZZ)

chaos: $(DEV) ## kill processes at random under load and count what is lost
	$(BIN)/python -m tests.chaos.chaos $(CHAOS)

up: ## the stack as containers; scale with EXECUTORS=3
	docker compose up --build --scale executor=$(or $(EXECUTORS),1)

down: ## stop the containers; results stay in their volume
	docker compose --profile '*' down

clean: ## remove what make made
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "qjet needs Python 3.11 or later; try make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25'

$(RUNTIME): pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[all]'
	@touch $@

$(DEV): pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable '.[all,dev]'
	@touch $@ $(RUNTIME)
