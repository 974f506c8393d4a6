# make train   trains on Fashion-MNIST with IG-NORM; the variables below change that
# make test    lint, types and tests, as CI runs them
# make venv    the environment alone, .venv
# make results  the tables of the pages, from results/
# make lint | format | api | clean

DATASET ?= fashion_mnist
OBJECTIVE ?= ig_norm
# Passed on only when set: MAX_STEPS, WORKDIR, and ARGS as they are written.
MAX_STEPS ?=
WORKDIR ?=
ARGS ?=
# The interpreter that makes .venv; found by scripts/make_venv.sh when empty.
PYTHON ?=
export PYTHON
# Processes that run the tests, side by side.
WORKERS ?= 2

BIN := .venv/bin
READY := .venv/ready
FLAGS = --dataset=$(DATASET) --objective=$(OBJECTIVE) \
	$(if $(MAX_STEPS),--max_steps=$(MAX_STEPS)) $(if $(WORKDIR),--workdir=$(WORKDIR)) $(ARGS)

export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: train test venv lint types format api results clean

train: $(READY)
	@scripts/get_data.sh $(DATASET) $(ARGS)
	$(BIN)/python -m train.main $(strip $(FLAGS))

venv: $(READY)

test: lint types
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

api: $(READY)
	$(BIN)/python -m scripts.gen_api

results: $(READY)
	$(BIN)/python -m scripts.make_results

$(READY): requirements.txt scripts/make_venv.sh
	@scripts/make_venv.sh .venv requirements.txt
	@touch $@

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
