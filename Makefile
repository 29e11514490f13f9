# One entry for everything; `make` alone explains itself. Works with GNU make 3.81 and later (macOS).
# A virtual environment is made in .venv and brought up to date when requirements*.txt change. ARGS goes to the command:
# `make demo ARGS=--keep`, `make test ARGS="-k protocol"`.

SHELL := /bin/sh
PY := .venv/bin/python
# Through the interpreter, not through .venv/bin/<tool>: those carry this folder's absolute path and break in a copy.
LINT_IMPORTS := $(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
VERMIN := $(PY) -c 'import sys, vermin; sys.exit(vermin.main())'
PIP := PIP_USER=0 $(PY) -m pip --disable-pip-version-check --no-input
ARGS ?=
# Most tests wait for processes that they started, so more workers than cores pay. One test at a time goes to a worker.
WORKERS ?= 4
PARALLEL = $(PY) -m pytest -n $(WORKERS) --dist load --maxschedchunk 1 --durations 10

# `make PYTHON=python3.12 test` says which Python .venv is made with. A .venv of another one is made again.
ifneq ($(strip $(PYTHON)),)
export PYTHON
WHICH := -c 'import sys; print(sys.base_prefix, sys.version_info[:2])'
WANTED := $(shell PYTHON='$(PYTHON)' tools/system-deps.sh --python 2>/dev/null)
ifneq ($(shell "$(WANTED)" $(WHICH) 2>/dev/null),$(shell $(PY) $(WHICH) 2>/dev/null))
.PHONY: .venv/bin/python .venv/.runtime-ready .venv/.dev-ready
endif
endif

# Somebody else's Python must not leak into ours, and an empty HOME would put caches into /.
unexport PYTHONPATH PYTHONHOME
ifeq ($(strip $(HOME)),)
unexport HOME
endif

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help browser images pyz bench-answers bench-pages bench-engine bench-faults bench-chaos demo run test test-long test-fast coverage lint lint-style lint-types lint-layers lint-versions format system-deps venv lock-check clean docs-tables

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: system-deps .venv/.runtime-ready ## set everything up, then install ten node packs on a throw-away instance and watch (ARGS=--keep leaves it up)
	@$(PY) run.py demo $(ARGS)

run: .venv/.runtime-ready ## serve for real use on http://127.0.0.1:5000
	@$(PY) run.py serve $(ARGS)

test: system-deps .venv/.dev-ready ## set everything up, then run the tests, the long proofs aside
	@$(PARALLEL) -m "not long" $(ARGS)

test-long: system-deps .venv/.dev-ready ## the long proofs: faults, chaos, 34 packs, truth by chance
	@$(PARALLEL) -m long $(ARGS)

test-fast: .venv/.dev-ready ## the tests that need neither sshd nor the network (under 30 s)
	@$(PARALLEL) -m "not sshd and not registry and not slow" $(ARGS)

browser: system-deps .venv/.dev-ready ## the pages in a real Chromium, by themselves
	@$(PY) -m pytest -m browser $(ARGS)

images: system-deps .venv/.dev-ready ## make docs/images/ from a real run
	@$(PY) -m tools.images

docs-tables: .venv/.dev-ready ## write the generated tables in the docs anew
	@$(PY) -m tools.docs_tables

coverage: system-deps .venv/.dev-ready ## every test, with the lines and branches that none of them reached
	@$(PY) -m pytest --cov --cov-report=term $(ARGS)

lint: lint-style lint-types lint-layers lint-versions ## all four linters (`make -k lint` goes on after a fault)

lint-style: .venv/.dev-ready ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

lint-types: .venv/.dev-ready ## mypy, strict
	@$(PY) -m mypy run.py app test $(if $(wildcard bench/*.py),bench)

lint-layers: .venv/.dev-ready ## import-linter: who may import whom
	@$(LINT_IMPORTS) --no-logo

lint-versions: .venv/.dev-ready ## vermin: what runs on the instance runs on Python 3.9
	@$(VERMIN) --quiet --no-tips --target=3.9- --violations app/__init__.py app/protocol app/runner

pyz: .venv/.runtime-ready ## write the installer as one file, to be run by hand on an instance (ARGS="--output FILE")
	@$(PY) run.py pyz $(ARGS)

bench-answers: system-deps .venv/.dev-ready ## measure: starts and polls, also for instances that never answer
	@$(PY) -m bench.answers

bench-pages: system-deps .venv/.dev-ready ## measure: 50 open task pages on one service
	@$(PY) -m bench.pages

bench-engine: system-deps .venv/.dev-ready ## measure: installing 34 packs beside the usual way and the floor (ARGS=--quick: 9 packs)
	@$(PY) -m bench.engine $(ARGS)

bench-faults: system-deps .venv/.dev-ready ## what users see when something goes wrong: a table from real runs
	@$(PY) -m bench.faults $(ARGS)

bench-chaos: system-deps .venv/.dev-ready ## 200 runs with a fault at a random moment each: all must end as they must
	@$(PY) -m bench.chaos $(ARGS)

format: .venv/.dev-ready ## put the sources into the one format, and fix what ruff can fix
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

system-deps: ## install sshd, git… from the system's packages (Debian/Ubuntu as root); others are told what is missing
	@tools/system-deps.sh

venv: .venv/.dev-ready ## the virtual environment .venv with all that working on Nodeferry needs

lock-check: .venv/.dev-ready ## which pinned packages have newer versions
	@$(PIP) list --outdated

clean: ## remove what make made: .venv and the caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment ----------------------------------------------------------------------------------------

# Order only: this file's time is that of the Python it links to. A link that leads nowhere (the system's Python was
# replaced) counts as missing, and --clear then takes the stamps below away too.
.venv/bin/python:
	@python=$$(tools/system-deps.sh --python) || exit 1; "$$python" -m venv --clear .venv || { rm -rf .venv; exit 1; }

.venv/.runtime-ready: requirements.txt | .venv/bin/python
	@echo "Setting up .venv from requirements.txt ..."
	@$(PIP) install --quiet -r requirements.txt
	@touch $@

.venv/.dev-ready: requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "Setting up .venv from requirements-dev.txt ..."
	@$(PIP) install --quiet -r requirements-dev.txt
	@touch .venv/.runtime-ready $@
