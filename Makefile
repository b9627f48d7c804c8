# Everything a contributor needs: `make help` lists it. Each target sets up what it needs by itself.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV  := .venv
BENCH := .venv-bench
BIN   := $(VENV)/bin
PY_DIRS = $(wildcard src tests scripts bench docs)
# Extra words for pytest, as in: make test-only PYTEST="-k stream -x"
PYTEST ?=
# Much of the tests is waiting for other processes, so half as many workers again as there are cores keep the cores busy.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN | awk '{ print int($$1 * 1.5) }')

# Installing again is needed when one of these changes; the stamps remember when it was last done.
PACKAGE := pyproject.toml src/quoth/_version.py scripts/bootstrap

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.demo ## Show the main job: offline against the emulator, or against Poe if POE_API_KEY is set
	@$(BIN)/quoth demo

.PHONY: test
test: lint types test-only ## Everything that must pass: lint, types, architecture, tests (what .ci/run calls)

.PHONY: test-only
test-only: $(VENV)/.dev ## The tests alone; PYTEST="-k stream -x" adds words
	$(BIN)/python -m pytest -n $(if $(filter-out 0,$(WORKERS)),$(WORKERS),auto) --dist loadfile $(PYTEST)

.PHONY: crash
crash: $(VENV)/.dev ## Kill a running batch fifty times: nothing that is finished is lost, or paid twice
	QUOTH_KILLS=50 $(BIN)/python -m pytest tests/cli/test_bulk.py -k killed

.PHONY: soak
soak: $(VENV)/.dev ## 200,000 requests through one worker, with faults and clients that leave: nothing is left of them
	$(BIN)/python -m pytest tests/gateway/test_soak.py -m slow

.PHONY: lint
lint: $(VENV)/.dev ## Style, and the laws of the floors (import-linter)
	$(BIN)/ruff check $(PY_DIRS)
	$(BIN)/ruff format --check $(PY_DIRS)
	$(BIN)/lint-imports --no-logo

.PHONY: types
types: $(VENV)/.dev ## mypy --strict, and pyright on the public API
	$(BIN)/mypy
	$(BIN)/basedpyright

.PHONY: fmt
fmt: $(VENV)/.dev ## Format, and mend what can be mended
	$(BIN)/ruff check --fix-only $(PY_DIRS)
	$(BIN)/ruff format $(PY_DIRS)

.PHONY: bench
bench: $(VENV)/.dev $(BENCH)/.bench ## Compare cost per call with the openai and litellm packages, and per request with LiteLLM's proxy and nginx
	QUOTH_BENCH_PEERS=$(BENCH)/bin/python $(BIN)/python -m bench
	QUOTH_BENCH_PEERS=$(CURDIR)/$(BENCH)/bin/python $(BIN)/python -m bench.gateways --growth

.PHONY: setup
setup: $(VENV)/.dev ## Only set up the development environment in .venv

.PHONY: clean
clean: ## Remove the environments, caches and builds
	rm -rf $(VENV) $(BENCH) .venv-lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find $(PY_DIRS) -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.dev: requirements/dev.txt $(PACKAGE)
	@scripts/bootstrap $(VENV) requirements/dev.txt
	@touch $(VENV)/.demo $@

$(VENV)/.demo: requirements/demo.txt $(PACKAGE)
	@scripts/bootstrap $(VENV) requirements/demo.txt
	@touch $@

$(BENCH)/.bench: requirements/bench.txt scripts/bootstrap
	@scripts/bootstrap $(BENCH) requirements/bench.txt --no-package
	@touch $@

# Lock files carry hashes and no address of an index, so that they install from whatever index or mirror a machine uses.
# One resolution for Python 3.11 and newer on every platform; the smaller files take their versions from dev.txt.
COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE)

.PHONY: lock
lock: .venv-lock/.lock ## Resolve pyproject.toml into requirements/*.txt; UPGRADE=--upgrade takes newer versions
	$(COMPILE) pyproject.toml --all-extras --group build --group test --group demo --group lint -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt --extra gateway --group build --group demo -o requirements/demo.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/sdk.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt --extra gateway -o requirements/gateway.txt
	$(COMPILE) --group bench -o requirements/bench.txt
	$(COMPILE) --group lock -o requirements/lock.txt

.venv-lock/.lock: requirements/lock.txt scripts/bootstrap
	@scripts/bootstrap .venv-lock requirements/lock.txt --no-package
	@touch $@
