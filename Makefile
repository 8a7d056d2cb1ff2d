# Targets create and use the environment .venv, and update it when pyproject.toml changes. Requirements: make, and
# Python 3.11 or newer with the venv module.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input --quiet
# Many tests wait for servers and subprocesses, so four workers keep two cores busy.
PYTEST_OPTIONS := -n 4 --dist=worksteal

.PHONY: help demo test test-slow test-all torture fuzz check lint types format test-lowest bench clean
.DELETE_ON_ERROR:

help:
	@echo "make demo         build, publish and install a model, and use it on another machine"
	@echo "make test         run the tests, except the slow ones, in less than five minutes"
	@echo "make test-all     run all tests, with real servers if they are installed"
	@echo "make torture      test kills, faults, races and bad inputs exhaustively (SCALE=0.1 for a tenth)"
	@echo "make fuzz         fuzz every parser with coverage guidance (SECONDS=60 for each)"
	@echo "make check        check style (make lint) and types (make types)"
	@echo "make format       fix formatting and style where this is automatic"
	@echo "make test-lowest  run the tests with the oldest dependencies allowed by pyproject.toml"
	@echo "make bench        compare with other tools (20 minutes); as root, APT=1 installs those in Debian"
	@echo "make clean        remove environments and caches"

demo: $(VENV)/.has-demo
	$(PY) sample_packages/demo.py

test: $(VENV)/.has-tests
	$(PY) -m pytest $(PYTEST_OPTIONS) -m "not slow"

test-slow: $(VENV)/.has-tests
	$(PY) -m pytest $(PYTEST_OPTIONS) -m slow

test-all: test test-slow

# The counts of all tests are summed at the end.
SCALE := 1
torture: $(VENV)/.has-tests
	@rm -f $(VENV)/tally.txt
	ORBITPKG_TORTURE=$(SCALE) ORBITPKG_TALLY=$(CURDIR)/$(VENV)/tally.txt \
		nice -n 10 $(PY) -m pytest -n 3 --dist=worksteal --timeout=1800 tests/torture tests/fuzz tests/bad_inputs \
		tests/store tests/repository tests/installer tests/api tests/property/test_resolver.py \
		tests/servers/test_hostile_answers.py; \
		status=$$?; $(PY) tests/torture/figures.py $(VENV)/tally.txt; exit $$status

SECONDS := 60
FUZZED := json manifest contents record index status lockfile requirement range version archive \
	sealed-archive sputnik-meta sputnik-archive frozen catalogue stimuli settings tar-headers
fuzz: $(FUZZED:%=fuzz-%)

fuzz-%: $(VENV)/.has-fuzz
	PYTHONPATH=. nice -n 10 $(PY) tests/fuzz/run.py $* $(SECONDS)

check: lint types

lint: $(VENV)/.has-tests
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: $(VENV)/.has-tests
	$(PY) -m mypy

format: $(VENV)/.has-tests
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

test-lowest: $(VENV)/.has-tests
	$(PY) tests/lowest.py > $(VENV)/lowest.txt
	$(MAKE) VENV=.venv-lowest PIP_CONSTRAINT=$(CURDIR)/$(VENV)/lowest.txt test-all

# The benchmarked tools have a separate environment, because DVC would constrain orbitpkg's dependencies.
BENCH_DEBIAN := restic nginx-light zstd iproute2 util-linux radosgw ceph-mon ceph-osd ceph-mgr ceph-common \
	linux-perf

bench: $(VENV)/.has-bench .venv-bench/.has-peers
	$(if $(APT),apt-get update -qq && apt-get install -qq -y --no-install-recommends $(BENCH_DEBIAN))
	$(PY) -m benchmarks.profile
	$(PY) -m benchmarks.run --keep
	$(PY) -m benchmarks.growth --large
	$(PY) -m benchmarks.resolver

clean:
	rm -rf $(VENV) .venv-lowest .venv-bench .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build

# pip reads its configuration files and PIP_* variables, and uses the package index configured on this machine.
$(VENV)/.made:
	sh .ci/venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

# pip compiles what it installs, except an editable package. Without bytecode every start compiles orbitpkg again.
COMPILE = $(PY) -m compileall -q orbitpkg

$(VENV)/.has-demo: pyproject.toml $(VENV)/.made
	$(PIP) install --editable . --group demo
	$(COMPILE)
	@touch $@

$(VENV)/.has-fuzz: $(VENV)/.has-tests
	$(PIP) install --group fuzz
	@touch $@

$(VENV)/.has-tests: pyproject.toml $(VENV)/.made
	$(PIP) install --editable . --group demo --group test --group check
	$(COMPILE)
	@touch $@ $(VENV)/.has-demo

$(VENV)/.has-bench: pyproject.toml $(VENV)/.made
	$(PIP) install --editable . --group bench
	$(COMPILE)
	@touch $@

.venv-bench/.has-peers: pyproject.toml
	$(MAKE) VENV=.venv-bench .venv-bench/.made
	$(subst $(VENV),.venv-bench,$(PIP)) install --group bench-peers
	@touch $@
