# finsa-moe: make demo | test | test-slow | lint | bench. Everything lives in .venv; nothing else is asked of the machine.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# A CPU build is all that is needed; on Linux the usual index has it with CUDA. For another one say what pip should install: make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
TORCH  ?= torch==2.13.0
STAMP  := $(VENV)/.installed
# Compiled modules are kept, whatever the shell says: tests and demo start many processes that would each compile them anew
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow lint bench clean install
install: $(STAMP)

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("finsa-moe needs Python 3.11 or newer, found " + sys.version.split()[0] + "; say make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python runs/demo.py

# One worker a core, one thread a worker: two workers of two threads wait for each other. Each begins with half of the tests in
# their order, so that what a file's tests share is made once. ALL=1 runs the slow ones too
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(if $(ALL),,-m 'not slow')

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache
