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

# Somebody else's Python must not leak into ours, and an empty HOME would put caches into /. Without what Python
# compiled once, each of the hundreds of processes that the tests start compiles all modules again.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE
ifeq ($(strip $(HOME)),)
unexport HOME
endif

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help browser images docs-tables pyz bench-answers bench-page bench-pages bench-engine bench-image bench-faults bench-chaos bench-eta prove-addresses prove-apply prove-faults prove-chaos demo run test test-long test-all test-postgresql test-again test-fast coverage lint lint-style lint-types lint-layers lint-versions format demo-deps system-deps test-deps venv lock-check clean prove-hostile prove-fuzz prove-flood prove-api lock audit cluster prove-scale prove-cluster bench bench-polls

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { line = sprintf("  make %-15s", $$1); count = split($$2, words, " "); \
	  for (i = 1; i <= count; i++) { if (length(line " " words[i]) > 80) { print line; line = sprintf("%22s", "") } \
	  line = line " " words[i] }; print line }' Makefile

demo: demo-deps .venv/.runtime-ready ## install a dozen packs on a throw-away instance, and watch
	@$(PY) run.py demo $(ARGS)

run: .venv/.runtime-ready ## serve for real use on http://127.0.0.1:5000
	@$(PY) run.py serve $(ARGS)

cluster: system-deps .venv/.dev-ready ## PostgreSQL, two web processes, two workers, a played fleet, until Ctrl-C
	@$(PY) -m bench.cluster $(ARGS)

test: test-deps .venv/.dev-ready ## the tests; the long proofs are in test-long
	@$(PARALLEL) -m "not long" $(ARGS)

test-long: test-deps .venv/.dev-ready ## faults, chaos, 34 packs, truth by chance
	@$(PARALLEL) -m long $(ARGS)

test-all: test-deps .venv/.dev-ready ## both, in one run: the long ones while the others go on
	@$(PARALLEL) $(ARGS)

ON_ENGINES = $(addprefix test/sync/test_,installs.py closing.py cancelled_tasks.py retries.py) \
	$(addprefix test/api/test_,fleet.py retry_route.py events.py reconnect_route.py requests_and_answers.py)
test-postgresql: test-deps .venv/.dev-ready ## what depends on the engine, once more on PostgreSQL and Procrastinate
	@$(PARALLEL) --engine postgresql $(ON_ENGINES) $(ARGS)

test-again: test-deps .venv/.dev-ready ## what failed in the last run, one test at a time
	@$(PY) -m pytest --last-failed --last-failed-no-failures none $(ARGS)

test-fast: .venv/.dev-ready ## what needs neither sshd nor network (under 30 s)
	@$(PARALLEL) -m "not sshd and not registry and not slow" $(ARGS)

browser: test-deps .venv/.dev-ready ## the pages in a real Chromium, by themselves
	@$(PARALLEL) -m browser $(ARGS)

images: system-deps .venv/.dev-ready ## make docs/images/ from a real run
	@$(PY) -m tools.images

docs-tables: .venv/.dev-ready ## write the generated tables in the docs anew
	@$(PY) -m tools.docs_tables

coverage: test-deps .venv/.dev-ready ## every test, and the lines none of them reached
	@$(PARALLEL) --cov --cov-report=term $(ARGS)

lint: lint-style lint-types lint-layers lint-versions ## all four linters (make -k: go on after a fault)

lint-style: .venv/.dev-ready ## ruff: rules and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

lint-types: .venv/.dev-ready ## mypy, strict
	@$(PY) -m mypy run.py app test $(if $(wildcard bench/*.py),bench)

lint-layers: .venv/.dev-ready ## import-linter: who may import whom
	@$(LINT_IMPORTS) --no-logo

lint-versions: .venv/.dev-ready ## vermin: what runs on the instance runs on Python 3.9
	@$(VERMIN) --quiet --no-tips --target=3.9- --violations app/__init__.py app/protocol app/runner

pyz: .venv/.runtime-ready ## the installer as one file (ARGS="--output FILE")
	@$(PY) run.py pyz $(ARGS)

bench: system-deps .venv/.dev-ready ## measure: a table of ratios with their goals, and a picture (3 minutes)
	@$(PY) -m bench $(ARGS)

bench-answers: system-deps .venv/.dev-ready ## measure: starts and polls, also with dead instances
	@$(PY) -m bench.answers $(ARGS)

bench-polls: system-deps .venv/.dev-ready ## measure: polls beside 1, 10 and 100 installs, and the plain way (6 minutes)
	@$(PY) -m bench.polls $(ARGS)

bench-page: system-deps .venv/.dev-ready ## measure: a run's page against its promises and against release 7f86b61's (15 minutes)
	@$(PY) -m bench.page $(ARGS)

bench-pages: system-deps .venv/.dev-ready ## measure: 50 open task pages on one service
	@$(PY) -m bench.pages

bench-engine: system-deps .venv/.dev-ready ## measure: the list of 34 packs, three ways (ARGS=--few: 5)
	@$(PY) -m bench.engine $(ARGS)

bench-image: system-deps .venv/.dev-ready ## measure: with an image's variables for pip and uv, and without
	@$(PY) -m bench.engine.image $(ARGS)

bench-faults: system-deps .venv/.dev-ready ## a table of what users see when something fails
	@$(PY) -m bench.faults $(ARGS)

bench-chaos: system-deps .venv/.dev-ready ## 200 runs, each with a fault at a random moment
	@$(PY) -m bench.chaos $(ARGS)

bench-eta: .venv/.dev-ready ## predicted against true remaining time, ten recorded runs
	@$(PY) -m bench.eta $(ARGS)

prove-addresses: .venv/.dev-ready ## ten minutes of random changes to pasted addresses (ARGS="--seconds 60 --seed 2")
	@$(PY) -m bench.addresses $(ARGS)

prove-apply: system-deps .venv/.dev-ready ## 500 sequences of package changes, ended at random moments
	@$(PY) -m bench.apply $(ARGS)

prove-fuzz: .venv/.dev-ready ## ten minutes of random changes to what each parser reads (ARGS="--parser lock --seconds 60")
	@$(PY) -m bench.fuzz $(ARGS)
prove-api: .venv/.dev-ready ## 20,000 requests by schemathesis, made of the specification (ARGS="--resume")
	@$(PY) -m bench.api $(ARGS)

prove-flood: .venv/.dev-ready ## polls beside 800 slow clients (ARGS="--seed 2")
	@$(PY) -m bench.flood $(ARGS)

prove-scale: system-deps .venv/.dev-ready ## 1, 10, 100 and 1,000 installs at once (ARGS="--engine postgresql", --resume)
	@$(PY) -m bench.scale --rates 2,3,5 $(ARGS)

prove-cluster: system-deps .venv/.dev-ready ## 100 faults while installs run on a cluster (30 minutes; ARGS="--resume")
	@$(PY) -m bench.cluster.prove $(ARGS)

prove-faults: bench-faults ## the same as bench-faults

prove-chaos: bench-chaos ## the same as bench-chaos

prove-hostile: system-deps .venv/.dev-ready ## 30 minutes of instances that lie (ARGS="--resume": goes on)
	@$(PY) -m bench.hostile $(ARGS)

format: .venv/.dev-ready ## format the sources, and fix what ruff can fix
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

demo-deps: ## what the demo needs: sshd, git… (Debian/Ubuntu as root)
	@tools/system-deps.sh --demo

system-deps: ## and what tests need: Chromium (Debian/Ubuntu as root)
	@tools/system-deps.sh

test-deps: ## and what some tests play with, where it can be had: shells, nginx…
	@tools/system-deps.sh --tests

venv: .venv/.dev-ready ## .venv with all that working on Nodeferry needs

lock: .venv/.dev-ready ## write requirements*.txt anew from the .in files (ARGS=--upgrade)
	@$(PY) -m tools.lock $(ARGS)

audit: .venv/.dev-ready ## known vulnerabilities of what is pinned; skipped where no database can be reached
	@$(PY) -m tools.audit

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
	@$(PIP) install --quiet --require-hashes -r requirements.txt
	@touch $@

.venv/.dev-ready: requirements-dev.txt requirements.txt | .venv/bin/python
	@echo "Setting up .venv from requirements-dev.txt ..."
	@$(PIP) install --quiet --require-hashes -r requirements-dev.txt
	@touch .venv/.runtime-ready $@
