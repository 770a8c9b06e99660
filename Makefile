# plait: `make help` lists what there is.

SHELL := /bin/sh

# The first Python >= 3.11 that can make virtual environments: python3, then pyenv's.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 \
	"$$HOME"/.pyenv/versions/3.1[1-9]*/bin/python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && { echo "$$python"; break; }; done)

# The newest Python of pyenv, if it is newer than 3.11; the compiled core is tested with it.
NEWEST := $(lastword $(sort $(wildcard $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python3)))

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NEWEST_VENV := $(VENV)/newest
NEWEST_STAMP := $(NEWEST_VENV)/.installed
BENCH_STAMP := $(VENV)/.bench
CORE_VENV := $(if $(NEWEST),$(NEWEST_VENV),$(VENV))
CORE_STAMP := $(CORE_VENV)/.installed
SOURCES := src tests benchmarks examples experiments tools hatch_build.py
MAX_LINES := 500

# Seeds of `make torture`: others every day.
FIRST_SEED := $(shell expr $$(date +%s) / 86400 '*' 10000)
SEEDS ?= $(FIRST_SEED)-$(shell expr $(FIRST_SEED) + 4999)

# What programs use: the reference is made of these modules.
REFERENCE := plait.aio plait.aio.connection plait.aio.streams plait.aio.opening plait.aio.ladder \
	plait.aio.protocols plait.aio.stack plait.aio.kernel plait.aio.happenings plait.sockets \
	plait.sockets.options \
	plait.connectors plait.host.settings plait.host.intents plait.host.events plait.mptcp.info \
	plait.tcp.info plait.errors plait.addresses plait.congestion.base plait.scheduling.base \
	plait.pathing.base plait.drivers.tun plait.drivers.packet plait.drivers.packet_spec \
	plait.drivers.udp plait.drivers.memory

# What runs once more with a compiled core.
CORE_TESTS := tests/unit tests/scripts tests/torture tests/interop/test_matrix.py \
	--ignore tests/unit/linux --ignore tests/unit/docs # they use nothing of it

.DEFAULT_GOAL := help
.PHONY: help demo test test-compiled core check lint bench bench-all experiments torture reference \
	compliance bytecodes wheel format clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 15

demo: $(STAMP) ## two paths, one cut in the middle, nothing lost
	@$(BIN)/plait demo

test: $(STAMP) $(CORE_STAMP) ## run the tests, those of the core compiled as well
	$(BIN)/pytest -n 2
	@lacks=$$($(CORE_VENV)/bin/python hatch_build.py --lacks) && \
	if [ -n "$$lacks" ]; then echo "compiled core: not tested: $$lacks"; \
	else $(MAKE) --no-print-directory test-compiled; fi

test-compiled: $(CORE_STAMP) ## the tests of the core, compiled; minutes more if it has changed
	@library=$$($(CORE_VENV)/bin/python hatch_build.py) && echo "core: $$library" && \
	PYTHONPATH=$$library PYTEST_ADDOPTS= $(CORE_VENV)/bin/pytest -n 2 -q \
		-o "pythonpath=$$library tests benchmarks ." $(CORE_TESTS) && \
	$(CORE_VENV)/bin/python tools/same_worlds.py $$library
	@PYTEST_ADDOPTS= $(CORE_VENV)/bin/pytest -q tests/unit/host/test_bytecodes.py

core: $(CORE_STAMP)
	@test -n "$$($(CORE_VENV)/bin/python hatch_build.py --lacks)" || \
		$(CORE_VENV)/bin/python hatch_build.py

check: $(STAMP) $(CORE_STAMP) ## everything a change must pass
	@$(MAKE) --no-print-directory -j 2 -O lint core # each leaves a processor to the other
	@$(MAKE) --no-print-directory test

bench: $(BENCH_STAMP) ## plait, pure and compiled, beside kernel, aioquic and ns-3; as root
	$(BIN)/python benchmarks/run.py $(BENCH)

bench-all: $(STAMP) ## plait beside the kernel in more configurations; as root
	$(BIN)/python benchmarks/kernel.py

experiments: $(STAMP) ## what the policies do, as tables in docs/experiments.md
	@$(BIN)/python -m experiments

torture: $(STAMP) ## 5,000 fresh random worlds, or SEEDS=A-B
	$(BIN)/plait torture --jobs 2 --seeds $(SEEDS)

reference: $(STAMP) ## the reference of the API, from its docstrings, in build/reference
	@$(BIN)/pdoc --docformat google --output-directory build/reference $(REFERENCE)

compliance: $(STAMP) ## write docs/rfc/compliance.md from the marks of the tests
	@$(BIN)/pytest tests --collect-only -qq --rfc-marks=build/marks.json >/dev/null
	@$(BIN)/python tools/compliance.py build/marks.json

bytecodes: $(STAMP) $(if $(NEWEST),$(NEWEST_STAMP)) ## renew the figures that tests/unit/host/test_bytecodes.py holds steps to
	@for python in $(BIN)/python $(if $(NEWEST),$(NEWEST_VENV)/bin/python); do \
		PYTHONPATH=tests $$python -m support.bytecodes || exit 1; done

wheel: $(STAMP) ## a wheel of pure Python and one with a compiled core, in dist
	@$(BIN)/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	@PLAIT_COMPILE=1 $(BIN)/pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	@ls dist/plait-*.whl

format: $(STAMP) ## format the sources
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

lint: $(STAMP)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/pytest tests --collect-only -qq --rfc-marks=build/marks.json >/dev/null
	$(BIN)/python tools/compliance.py build/marks.json --check
	@$(MAKE) --no-print-directory reference
	@find $(SOURCES) -name '*.py' -exec awk -v most=$(MAX_LINES) \
		'FNR == most + 1 { print FILENAME ": more than " most " lines"; bad = 1 } END { exit bad }' {} +

$(STAMP): pyproject.toml constraints-dev.txt
	@test -n "$(PYTHON)" || { \
		echo "make: no Python >= 3.11 with venv found: install python3 and python3-venv," >&2; \
		echo "make: or a newer Python with pyenv, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints-dev.txt --editable '.[dev,fast,plot]'
	@touch $@

$(NEWEST_STAMP): pyproject.toml constraints-dev.txt | $(STAMP)
	$(NEWEST) -m venv $(NEWEST_VENV)
	$(NEWEST_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints-dev.txt --editable '.[dev,fast,plot]'
	@touch $@

$(BENCH_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints-dev.txt --editable '.[bench]'
	@touch $@
