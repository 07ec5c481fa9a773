# All that a fresh machine needs is Python 3.11+, git and make; uv is installed into .uv/ when it is missing.

PYTHON ?= python3
SCALE ?= cpu
ARGS ?=
# the name alone, for the folder of an installed uv may have spaces in its name
UV := $(if $(shell command -v uv 2>/dev/null),uv,.uv/bin/uv)
NEEDED_UV := $(filter .uv/%,$(UV))
RUN := $(UV) run --no-sync
TOOLKITS := $(patsubst packages/%/pyproject.toml,%,$(wildcard packages/*/pyproject.toml))
PROJECTS := pyproject.toml shared/pyproject.toml $(wildcard packages/*/pyproject.toml)
SYNCED := .venv/.synced
NOT_HERE := not gpu and not peer

# without compiled bytecode the first import of lightning takes twice as long
export UV_COMPILE_BYTECODE := 1
# whatever environment is active, everything goes into this one
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-gpu lint bench claims report wheels clean
.DELETE_ON_ERROR:

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z%-]*:.*## / {sub("%", "TOOLKIT", $$1); printf "%-16s %s\n", $$1, $$2}' Makefile
	@echo "TOOLKIT is one of: $(TOOLKITS)"

setup: $(SYNCED)  ## Install everything into .venv

demo: $(SYNCED)  ## Run every toolkit's demo into one page, reports/demo/index.html
	$(RUN) python -m benchmarks.run_demos $(ARGS)

test: $(SYNCED)  ## Run the tests (20 minutes at most on 2 cores)
	$(RUN) pytest -n 2 $(ARGS)

test-slow: $(SYNCED)  ## Run the tests that take longer, clean installations among them
	$(RUN) pytest -n 2 -m "slow and $(NOT_HERE)" $(ARGS)

test-gpu: $(SYNCED)  ## Run the tests that need a CUDA device
	$(RUN) pytest -n 0 -m "gpu and not peer" $(ARGS)

lint: $(SYNCED)  ## Check style, format, types and import boundaries
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy shared/src packages/*/src
	$(RUN) python tests/import_contracts.py

bench: $(SYNCED)  ## Measure every toolkit against its peers (SCALE=cpu or gpu)
	$(RUN) python -m benchmarks.run --scale $(SCALE) $(ARGS) cli_startup $(TOOLKITS)

bench-%: $(SYNCED)  ## Measure one toolkit against its peers (SCALE=cpu or gpu)
	$(RUN) python -m benchmarks.run --scale $(SCALE) $(ARGS) $*

claims: $(addprefix claims-,$(TOOLKITS))  ## Test every paper's claims at small scale

claims-%: $(SYNCED)  ## Test one paper's claims at small scale
	$(RUN) $* claims --results benchmarks/results $(ARGS)

report: $(SYNCED)  ## Render benchmarks/REPORT.md from benchmarks/results
	$(RUN) python -m toolkit_shared.report benchmarks/results benchmarks/REPORT.md

wheels: | $(NEEDED_UV)  ## Build the wheels of all packages into dist/
	$(UV) build --all-packages --wheel --out-dir dist

clean:  ## Remove what the other targets made, the results kept
	rm -rf .venv .uv dist reports runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SYNCED): uv.lock $(PROJECTS) | $(NEEDED_UV)
	$(UV) sync --all-packages --all-extras
	@touch $@

# only when no uv is on the PATH; the second line is for a Python whose venv comes without pip, as Debian's
.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is missing or older than 3.11; name another, as in: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet uv || \
		$(PYTHON) -m pip install --quiet --upgrade --target .uv uv || \
		{ echo "make: uv could not be installed with pip; install uv, then repeat this command" >&2; exit 2; }
