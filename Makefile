# Two commands do all the set-up on a fresh machine with Python 3.11 and make: `make run` and `make test`.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
LFW ?= ../shared/data/lfw
# Tests wait more than they compute: servers that start, that are killed, that come back.
AT_ONCE ?= 2

.DEFAULT_GOAL := all
.PHONY: all run test check lint bench soak evaluate clean

all: check test

run: $(VENV)/service  ## the service, embedded, on http://127.0.0.1:8000
	$(BIN)/onelook serve

test: $(VENV)/developer  ## every test; those that need research photos skip, loudly, without them
	$(BIN)/pytest --numprocesses $(AT_ONCE) --dist loadfile --no-loadscope-reorder

check: $(VENV)/developer  ## formatting, lint, types, import rules; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint: $(VENV)/developer  ## mends what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/developer  ## the tables of docs/benchmarks.md
	$(BIN)/python -m benchmarks

soak: $(VENV)/developer  ## the long storm: ten thousand acts on each engine, and kill -9 amid them; some hours at most
	$(BIN)/python -m tests.acceptance.storm

evaluate: $(VENV)/developer  ## the figures of docs/models.md; needs the photos of LFW
	$(BIN)/onelook evaluate lfw --data $(LFW)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# A stamp is newer than pyproject.toml once what it asks for is installed.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/service: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/developer: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/service
