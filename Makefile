# From nothing on a fresh machine: `make demo` (base + pictures, no torch) and `make test` (everything).
PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= torch==2.13.0
BIN    := $(VENV)/bin
# Python compiles what is used when it is first used; pip would compile all of it.
PIP    := $(BIN)/python -m pip install --quiet --no-compile

.PHONY: demo test lint web web-test clean

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("kdphys needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[plot]'
	touch $@

# torch first, by its exact version: on Linux a plain `torch` brings gigabytes of CUDA along.
$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) '$(TORCH)'
	$(PIP) --editable '.[plot,train,synth,serve,export,dev]'
	touch $@ $(VENV)/.base

demo: $(VENV)/.base
	$(BIN)/kdphys demo --plot out/demo.png --force

# On all cores at once, and then, one after the other, what runs in real time.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile -m "not alone"
	$(BIN)/python -m pytest -q -m alone tests/live tests/serve tests/web

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports

# The page (Node 20.19 or newer): its build is tracked, so that installing needs no Node.
web:
	npm --prefix web ci --no-audit --no-fund
	npm --prefix web run build

web-test:
	npm --prefix web ci --no-audit --no-fund
	npm --prefix web run check
	npm --prefix web test

clean:
	rm -rf $(VENV) out build dist
