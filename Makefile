# Every target makes its own environment first: PyPI, npm and Python 3.11 or 3.12 are all that is needed.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS_READY := .venv-peers/.ready
AUDIT_READY := .venv-audit/.ready
LOCKED := requirements/lock.txt package.json package-lock.json
UV := uv==0.9.9

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## make the environment: .venv and node_modules (the other targets do it themselves)

.PHONY: demo
demo: $(READY) ## simulate a day of a local market on a local chain; the report goes to out/
	$(BIN)/ape run simulate

.PHONY: test
test: $(READY) services ## lint, compile and run all tests
	$(MAKE) --no-print-directory lint
	$(BIN)/ape compile --force # by itself Ape misses a change in a library that other contracts import
	$(BIN)/forge test
	$(BIN)/pytest

.PHONY: bench
bench: $(READY) $(PEERS_READY) ## print the figures that the README quotes
	$(BIN)/python benchmarks/clearing.py
	$(BIN)/python benchmarks/gas.py
	$(BIN)/python benchmarks/chunked.py

# One thread per process, for every solver.
.PHONY: bench-dispatch
bench-dispatch: export OMP_NUM_THREADS = 1
bench-dispatch: export OPENBLAS_NUM_THREADS = 1
bench-dispatch: $(READY) $(PEERS_READY) ## print the dispatch figures: other solvers, PyPSA, plan after plan, agents
	$(BIN)/python -m benchmarks.dispatch
	$(BIN)/python -m benchmarks.dispatch_networks
	$(BIN)/python -m benchmarks.dispatch_rolling
	$(BIN)/python -m benchmarks.dispatch_distributed

.PHONY: bench-metering
bench-metering: $(READY) services ## a day of 10 000 meters into the database, SQLite and PostgreSQL
	$(BIN)/python -m benchmarks.metering

.PHONY: fuzz
fuzz: $(READY) ## long fuzz runs: the rules on chain against their Python twin, whole auctions against an adversary
	CLEARWATT_FUZZ_SEEDS=100 $(BIN)/pytest tests/contracts/equilibrium
	CLEARWATT_ADVERSARY_RUNS=100 $(BIN)/pytest tests/contracts/adversary
	FOUNDRY_PROFILE=long $(BIN)/forge test --no-match-path 'tests/fuzz/market/*'

.PHONY: invariants
invariants: $(READY) ## half a million random calls on whole markets; the invariants must hold after each
	FOUNDRY_PROFILE=long $(BIN)/forge test --match-path 'tests/fuzz/market/*'

.PHONY: test-faults
test-faults: $(READY) services ## oracles killed, endpoints lying, pasts undone, auction after auction; prints what happened
	CLEARWATT_FAULT_AUCTIONS=40 $(BIN)/pytest -s tests/faults/test_campaign.py

.PHONY: audit
audit: $(READY) $(AUDIT_READY) ## put the contracts to Slither
	$(BIN)/python tools/audit.py

.PHONY: coverage
coverage: $(READY) ## how much of the contracts the tests come through, by statement and branch
	$(BIN)/python tools/contract_coverage.py --fail-under 95

.PHONY: mutants
mutants: $(READY) ## break the rules one at a time: do the tests notice?
	$(BIN)/python tools/mutants.py

# Every time, since an environment that is kept says nothing of the machine it is on; it takes no time if all is there.
.PHONY: services
services: $(READY) ## see to the servers that tests start for themselves: mosquitto, PostgreSQL
	@$(BIN)/python tools/services.py

.PHONY: lint
lint: $(READY) ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

.PHONY: format
format: $(READY) ## put the Python sources in shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The lock files name versions and hashes, never a registry: each machine's own settings say where packages come from.
.PHONY: lock
lock: ## resolve pyproject.toml and package.json anew
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check $(UV)
	.venv-lock/bin/uv pip compile pyproject.toml --extra ape --extra test --universal --python-version 3.11 \
		--no-header --no-annotate --no-emit-index-url --quiet --output-file requirements/lock.txt
	npm install --package-lock-only --ignore-scripts
	rm -rf .venv-lock

.PHONY: clean
clean: ## remove everything that was made
	rm -rf .venv .venv-peers .venv-audit .venv-lock node_modules .build .cache .pytest_cache .ruff_cache .hypothesis out run

# A recipe that fails leaves no stamp, so the next `make` tries again.
$(READY): pyproject.toml $(LOCKED) tools/setup.py tools/solc.cjs
	@$(PYTHON) tools/setup.py

$(PEERS_READY): benchmarks/peers/requirements.txt $(READY)
	$(BIN)/python -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(AUDIT_READY): requirements/audit.txt $(READY)
	$(BIN)/python -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
