# Everything stands on `setup`, which takes no time when the requirements did not change.
.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-fast lint format types layers check bench chaos faults ci token backup restore requirements schema screenshots clean

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
PIP := $(PY) -m pip install -qq --disable-pip-version-check
UV := uv==0.13.9
STAMP := $(VENV)/.installed
REQUIREMENTS := requirements.txt requirements-dev.txt
# Without compiled files each start compiles some thousand modules again.
unexport PYTHONDONTWRITEBYTECODE
CODE := automl workers tests benchmarks examples manage.py

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Make .venv with the pinned requirements

$(STAMP): $(REQUIREMENTS) pyproject.toml
	@echo "Installing the requirements into $(VENV) ..." >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed.")' >&2
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) >&2
	@# uv takes seconds where pip takes a minute. Like pip, it shall trust whom the system trusts.
	@if $(PIP) $(UV) >&2 && $(BIN)/uv pip install --quiet --system-certs --python $(PY) $(REQUIREMENTS:%=-r %) >&2; \
	then :; else echo "uv could not; trying pip." >&2; $(PIP) $(REQUIREMENTS:%=-r %) >&2; fi
	@$(PIP) --no-deps --no-build-isolation -e . >&2
	@touch $@

run: setup ## Start the service; Ctrl-C stops it
	@exec $(PY) manage.py serve

demo: setup ## The main job in the terminal: upload, search, download, predict
	@exec $(PY) examples/demo.py

test: setup ## The tests: the fast ones on all cores, then those with real processes, then those with a browser
	$(PY) -m pytest -q -n 2 -m "not slow and not e2e"
	$(PY) -m pytest -q -n 2 --dist loadfile -m "slow and not e2e" --ignore=tests/faults || test $$? -eq 5
	$(PY) -m pytest -q -n 2 --dist worksteal -m e2e || test $$? -eq 5

faults: setup ## Kill, stop and fill up parts of a running service; mostly waits for leases and outages of 30 s
	$(PY) -m pytest -q -n 2 --dist loadfile tests/faults

test-fast: setup ## The tests without real processes and browsers
	$(PY) -m pytest -q -n 2 -m "not slow and not e2e"

lint: setup ## Ruff and djLint
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/djlint --quiet --lint templates

format: setup ## Put the code in its form
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

types: setup ## mypy, strict
	$(BIN)/mypy automl workers

layers: setup ## Imports point one way
	$(BIN)/lint-imports

check: setup ## Django's own checks, and that no migration is missing
	$(PY) manage.py check
	$(PY) manage.py makemigrations --check --dry-run

ci: ## What CI runs
	@bash .ci/run

bench: setup ## Measure (benchmarks/)
	$(PY) -m benchmarks.run

SEED ?= 1
DATABASE ?= sqlite
chaos: setup ## 20 searches while a monkey kills parts of the service (SEED=1 DATABASE=sqlite|postgresql)
	$(PY) -m tests.chaos --seed $(SEED) --database $(DATABASE)

token: setup ## make -s token USER=NAME prints an API token for NAME
	@$(PY) manage.py migrate --verbosity 0 >&2
	@$(PY) manage.py token $(USER)

schema: setup ## Write docs/openapi.json
	$(PY) manage.py spectacular --format openapi-json --file docs/openapi.json

screenshots: setup ## Take pictures of every page, into var/screenshots
	$(PY) -m pytest -q tests/e2e -m e2e --screenshots

backup: setup ## make backup TO=FILE.tar.gz: everything into one file, also while the service runs
	@$(PY) manage.py backup $(TO)

restore: setup ## make restore FROM=FILE.tar.gz: into an empty AUTOML_HOME
	@$(PY) manage.py restore $(FROM)

requirements: setup ## Pin the requirements again, from the .in files
	$(PY) .ci/pin.py

clean: ## Remove what setup and tools made; the data in var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
