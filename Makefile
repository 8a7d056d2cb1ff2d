# All set-up happens in .venv, made by the first target that needs it and brought up to date when pyproject.toml
# changes. Needed beforehand: make, and Python 3.11 or newer with its venv module.

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input --quiet
PYTEST_OPTIONS := -n auto --maxprocesses=4 --dist=worksteal

.PHONY: help demo test check lint types format test-lowest clean
.DELETE_ON_ERROR:

help:
	@echo "make demo         take a model the whole way: build, publish, install on another machine, use"
	@echo "make test         run the tests, on real servers where they are installed"
	@echo "make check        lint, formatting (make lint) and types (make types)"
	@echo "make format       mend what can be mended without thinking"
	@echo "make test-lowest  run the tests with the oldest dependencies that pyproject.toml allows"
	@echo "make clean        remove the environments and the caches"

demo: $(VENV)/.has-demo
	$(PY) sample_packages/demo.py

test: $(VENV)/.has-tests
	$(PY) -m pytest $(PYTEST_OPTIONS)

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
	$(MAKE) VENV=.venv-lowest PIP_CONSTRAINT=$(CURDIR)/$(VENV)/lowest.txt test

clean:
	rm -rf $(VENV) .venv-lowest .mypy_cache .pytest_cache .ruff_cache .hypothesis dist build

# pip reads its own settings (files and PIP_* variables) and so finds packages wherever this machine gets them from.
$(VENV)/.made:
	sh .ci/venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

$(VENV)/.has-demo: pyproject.toml $(VENV)/.made
	$(PIP) install --editable . --group demo
	@touch $@

$(VENV)/.has-tests: pyproject.toml $(VENV)/.made
	$(PIP) install --editable . --group demo --group test --group check
	@touch $@ $(VENV)/.has-demo
