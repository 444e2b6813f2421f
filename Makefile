# make demo   sets up, tunes the embedded model, evaluates four reasoning methods, prints the table
# make test   sets up, runs every test
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

# Two processes of several threads each on few cores stall each other when idle threads spin.
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test setup check lint clean

demo: setup
	$(BIN)/python run.py experiments=demo

test: setup
	$(BIN)/python -m pytest

check: setup lint

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/.ready

# torch comes first and alone: its pinned version has a CPU build, while resolving it together with the
# rest may pick a newer one with gigabytes of CUDA libraries.
$(VENV)/.ready: setup.cfg constraints.txt
	@echo "Setting up $(VENV) (once; about 4 minutes, most of it downloads)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) outputs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
