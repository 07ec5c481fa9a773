# All that a fresh machine needs is Python 3.11+, git and make; uv is installed into .uv/ when it is missing.

PYTHON ?= python3
SCALE ?= cpu
ARGS ?=
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := $(UV) run --no-sync
TOOLKITS := $(patsubst packages/%/pyproject.toml,%,$(wildcard packages/*/pyproject.toml))
PROJECTS := pyproject.toml shared/pyproject.toml $(wildcard packages/*/pyproject.toml)
SYNCED := .venv/.synced
NOT_HERE := not gpu and not peer

export UV_COMPILE_BYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint bench claims report wheels clean
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
	$(RUN) python -m benchmarks.render_report

wheels: $(SYNCED)  ## Build the wheels of all packages into dist/
	$(UV) build --all-packages --wheel --out-dir dist

clean:  ## Remove what the other targets made, the results kept
	rm -rf .venv .uv dist reports runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(SYNCED): uv.lock $(PROJECTS) | $(UV)
	$(UV) sync --all-packages --all-extras
	@touch $@

# only when no uv is on the PATH
.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than 3.11; name a newer one, as in: make PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

# an uv on the PATH needs no rule
ifneq ($(UV),.uv/bin/uv)
$(UV): ;
endif
