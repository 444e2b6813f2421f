# make demo   sets up, tunes the embedded model, evaluates four reasoning methods, prints the table
# make test   sets up, runs every test
# make vllm   sets up .venv-vllm: agentx with the CPU build of vLLM, for backend=vllm and job=serve
# make inspect   sets up .venv-inspect: inspect-ai, to look at what job=export writes
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

# Two processes of several threads each on few cores stall each other when idle threads spin.
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test setup vllm inspect check lint clean

demo: setup
	$(BIN)/python run.py experiments=demo

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

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

# A second environment, because vLLM wants some packages in versions of its own. Everything is pinned and nothing
# resolved (see requirements-vllm.txt) but what torch itself needs, which depends on the build that the index has.
# Compiled at once on all cores: where PYTHONDONTWRITEBYTECODE is set, each of an engine's three processes would
# otherwise compile thousands of modules again at every start. Files for other Pythons are among them and fail.
vllm: .venv-vllm/.ready

.venv-vllm/.ready: requirements-vllm.txt setup.cfg
	@echo "Setting up .venv-vllm (once; some minutes, 3 GB)"
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet -c constraints.txt pip
	.venv-vllm/bin/python -m pip install --quiet --no-compile -c requirements-vllm.txt torch
	.venv-vllm/bin/python -m pip install --quiet --no-compile --no-deps -r requirements-vllm.txt
	-.venv-vllm/bin/python -m compileall -qq -j 0 .venv-vllm/lib
	.venv-vllm/bin/python -m pip install --quiet --no-deps -e .
	.venv-vllm/bin/python -c 'import vllm'
	@touch $@

# A third one, for inspect-ai alone: it reads files and needs nothing of this project.
inspect: .venv-inspect/.ready

.venv-inspect/.ready: requirements-inspect.txt
	@echo "Setting up .venv-inspect (once; a minute, 330 MB)"
	$(PYTHON) -m venv .venv-inspect
	.venv-inspect/bin/python -m pip install --quiet --no-deps -r requirements-inspect.txt
	.venv-inspect/bin/python -c 'import inspect_ai'
	@touch $@

clean:
	rm -rf $(VENV) .venv-vllm .venv-inspect outputs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
