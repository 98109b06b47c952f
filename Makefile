# Everything runs in .venv, which is made on first use and again when pyproject.toml changes.
#   make PYTHON=python3.12 test       with another Python (3.11 or newer)
#   make test ARGS='-k overlay'       with arguments for pytest
#   make fuzz SECONDS=60 ARGS='yaml'  with targets
#   make scoreboard SHARE=full        every search to its end, in hours

PYTHON ?= python3
ARGS ?=
SECONDS ?= 600
SHARE ?= promised
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOPER := $(VENV)/.developer
FUZZER := $(VENV)/.fuzzer
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Most tests wait for a server or a disk now and then: one more worker than there are processors.
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# The tests sync thousands of small files; they need no disk for it where memory is plenty.
ifndef TMPDIR
SCRATCH := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 == "tmpfs" && $$4 > 6000000 { print $$6 }')
endif
IN_SCRATCH := $(if $(SCRATCH),TMPDIR=$(SCRATCH))

.PHONY: help demo test scoreboard lint check bench fuzz rules-table registries clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    carry a small application from one throwaway registry into another'
	@echo 'make test    run every test, those against real registries included'
	@echo 'make scoreboard   every adversarial case; writes docs/reliability.md'
	@echo 'make lint    style, types and the dependency rule'
	@echo 'make check   lint and test'
	@echo 'make bench   create and apply side by side with skopeo, tar and zstd'
	@echo 'make fuzz    every fuzz target for SECONDS (600) each, or those in ARGS'
	@echo 'make registries   the suite of every kind of registry; writes docs/registries.md'
	@echo 'make rules-table   write docs/discovery-rules.md anew; needs a corpus (AIRGAP_CORPUS)'
	@echo 'make clean   remove what the others made'

demo: $(INSTALLED)
	@PYTHONPATH=tests $(BIN)/python demo/run.py

test: $(DEVELOPER)
	$(IN_SCRATCH) $(BIN)/python -m pytest -n auto $(ARGS)

scoreboard: $(DEVELOPER)
	AIRGAP_BUDGET=$(SHARE) $(IN_SCRATCH) $(BIN)/python -m pytest -n auto --scoreboard=docs/reliability.md $(ARGS)

registries: $(DEVELOPER)
	$(IN_SCRATCH) $(BIN)/python -m pytest -n auto --registries-page=docs/registries.md tests/registries $(ARGS)

lint: $(DEVELOPER)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy demo bench
	$(BIN)/lint-imports

check: lint test

bench: $(DEVELOPER)
	@PYTHONPATH=$(CURDIR):$(CURDIR)/tests $(BIN)/python -m bench.run $(if $(IMAGES),--images $(IMAGES)) $(ARGS)

fuzz: $(FUZZER)
	@$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) $(ARGS)

rules-table: $(DEVELOPER)
	PYTHONPATH=tests $(BIN)/python tests/support/rules_page.py

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find bundler importer shared tests demo -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo 'Python 3.11 or newer is needed; name one: make PYTHON=python3.12' >&2; exit 1; }
	@echo 'Making $(VENV) …'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable .
	@touch $@

$(DEVELOPER): $(INSTALLED)
	@echo 'Installing what tests and linters need …'
	@$(PIP) install --group dev
	@touch $@

$(FUZZER): $(DEVELOPER)
	@echo 'Installing the fuzzer …'
	@$(PIP) install --group fuzz
	@touch $@
