# Everything works on a machine that has only Python 3.11 or newer and make: `make run`, `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench screenshots setup clean distclean

run: setup        ## open the window (without a display: walk through a step and draw the window)
	@bash .ci/run-app

test: setup       ## lint, then all tests: compiled, uncompiled, and CUDA kernels in the simulator
	@bash .ci/lanes lint tests

lint: setup       ## ruff, mypy and the import contracts
	@bash .ci/lanes lint

bench: setup      ## side by side with other libraries; writes the tables of docs/performance.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m benchmarks

screenshots: setup  ## draw the pictures of docs/screenshots again
	$(BIN)/python docs/screenshots.py

setup:            ## .venv with everything in it; quick when nothing has changed
	@PYTHON='$(PYTHON)' bash .ci/setup

clean:            ## remove what was built or cached, compiled kernels too
	rm -rf out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find engine gui tests samples benchmarks .ci -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## also remove the virtual environment
	rm -rf .venv
