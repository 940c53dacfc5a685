# Each target does all of its own set-up: `make demo` or `make test` is all that a clone needs.
PYTHON ?= python3
VENV := .venv
EXTRAS := demo,test,dev,docs
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where this is set (in containers, mostly) each process would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo docs test coverage quick compiled check chaos differential soak test-hosts test-ray bench bench-peers format clean

demo: $(STAMP)
	$(BIN)/python -m minipipe demo

# Two tests at a time: most of them wait for processes, more than they compute.
JOBS ?= 2
test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

# Apart from the tests proper, which run the package as users do: coverage in each worker takes
# signal handlers, makes starts slow, and hid what it changed.
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=85

# The quick part of the tests, for another Python beside the first:
# make quick PYTHON=python3.13 VENV=.venv-3.13 EXTRAS=quick
QUICK := tests/protocol tests/codec tests/stream tests/graph tests/inline tests/transport tests/regulators \
	tests/shm tests/process/test_run.py tests/process/test_ends.py
quick: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(QUICK) $(ARGS)

# The tests of the hot part over the compiled core, in an environment of its own, away from the sources
# (which would be imported instead): make compiled.  Compiles anew whenever a source has changed.
COMPILED := .venv-compiled
COMPILED_TESTS ?= tests/test_compiled_core.py tests/protocol tests/stream tests/shm tests/codec/test_slots.py \
	tests/codec/test_moved.py tests/codec/test_parcel_slots.py tests/codec/test_slot_frames.py \
	tests/codec/test_tensors_between_workers.py tests/process/test_run.py tests/process/test_ends.py \
	tests/process/test_recovery.py tests/process/test_lifecycle.py tests/process/test_long_functors.py \
	tests/process/test_graphs.py tests/process/test_hanging.py tests/process/test_interrupted_run.py \
	tests/process/test_items_that_fail.py tests/process/test_orders.py tests/process/test_sigterm.py \
	tests/process/test_only_builtins.py tests/process/test_time_use.py tests/process/test_several_at_once.py
COMPILED_CHAOS ?= 25
compiled: $(COMPILED)/.installed
	rm -rf build/compiled && mkdir -p build/compiled && cp -r tests pyproject.toml setup.py build/compiled
	cd build/compiled && MINIPIPE_COMPILED=1 ../../$(COMPILED)/bin/python -m pytest -n $(JOBS) \
		--dist worksteal $(COMPILED_TESTS) $(ARGS)
	cd build/compiled && ../../$(COMPILED)/bin/python -m tests.chaos --seconds $(COMPILED_CHAOS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	PYTHONPATH=. $(BIN)/python scripts/check_structure.py

# The site, in build/site; tests/docs builds it, too, and runs its code.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/python -m mkdocs build --strict --quiet
	@echo "python -m http.server -d build/site, or open build/site/index.html (without its search)"

# Pipelines drawn at random under random faults: make chaos FAULTS=1000 SECONDS=3600 SEED=1
chaos: $(STAMP)
	$(BIN)/python -m tests.chaos $(if $(FAULTS),--faults $(FAULTS)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# Whether inline gives what processes give, on graphs drawn at random: make differential SECONDS=600
differential: $(STAMP)
	$(BIN)/python -m tests.differential \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# Whether anything piles up while runs go on: make soak SECONDS=3600 DEATHS=1000 PASSES=1000
soak: $(STAMP)
	$(BIN)/python -m tests.soak $(if $(DEATHS),--deaths $(DEATHS)) \
		$(if $(PASSES),--passes $(PASSES)) $(if $(SECONDS),--seconds $(SECONDS))

# Pipelines over several hosts under fire, and links: make test-hosts FAULTS=300 CUTS=200 SECONDS=1200
test-hosts: $(STAMP)
	$(BIN)/python -m tests.hosts $(if $(FAULTS),--faults $(FAULTS)) $(if $(CUTS),--cuts $(CUTS)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

# Agents on a cluster of Ray, of two nodes on this machine, in an environment of its own.
RAY := .venv-ray
RAY_EXTRAS := quick,ray
test-ray: $(RAY)/.installed
	$(RAY)/bin/python -m pytest tests/ray $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# What `make bench` compares with, each in an environment of its own: 2 GB, never made by itself.
bench-peers: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python -m benchmarks.throughput.environments

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-* build dist *.egg-info .coverage* .pytest_cache .mypy_cache .ruff_cache

# A Debian without the venv module gets it, if we may; everything else comes by pip.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "MiniPipe needs Python 3.11 or later; set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -qy python3-venv; }
	$(PYTHON) -m venv $(1)
	@touch $(1)/.begun  # what is edited while it installs is not in it
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check $(2)
	@mv $(1)/.begun $(1)/.installed
endef

$(STAMP): setup.cfg pyproject.toml
	$(call environment,$(VENV),-e '.[$(EXTRAS)]')

$(RAY)/.installed: setup.cfg pyproject.toml
	$(call environment,$(RAY),-e '.[$(RAY_EXTRAS)]')

$(COMPILED)/.installed: export MINIPIPE_COMPILED := 1
$(COMPILED)/.installed: $(shell find minipipe -name '*.py') setup.py setup.cfg pyproject.toml
	$(call environment,$(COMPILED),'.[quick]')
