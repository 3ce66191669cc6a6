# Everything runs in .venv, made from nothing but Python, pip and this file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

LARCH := .venv-larch

.PHONY: demo docs test test-slow test-all larch-test bench accuracy soak fuzz guided-fuzz lint types format wheel-check clean

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(STAMP)
	$(BIN)/xanes-hpc demo --overwrite

# One process for each core; each file's tests run in one process, for they share what they train.
PYTEST = $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(STAMP)
	$(PYTEST) -m "not slow"

test-all: $(STAMP)
	$(PYTEST)

# The slow tests, but for every case of the benchmarks and trainings on published data.
test-slow: $(STAMP)
	$(PYTEST) -m slow --ignore tests/test_benchmarks.py --ignore tests/test_published.py

# Exported files opened by Larch, in an environment of its own, for Larch brings some 2 GB along (and leaves files open).
larch-test:
	$(PYTHON) -m venv $(LARCH)
	$(LARCH)/bin/python -m pip install --quiet --constraint constraints.txt xraylarch ase click gemmi h5py hypothesis numba pytest rich xraydb
	$(LARCH)/bin/python -m pip install --quiet --no-deps --editable .
	$(LARCH)/bin/python -m pytest -p no:cacheprovider -W ignore::pytest.PytestUnraisableExceptionWarning tests/prediction/test_export.py tests/formats/test_athena_groups.py -k "larch or project"

# Faults injected into every stage, 25 rounds of each: nothing is lost; about an hour. SOAK="--rounds 5" for fewer.
soak: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m faults.soak $(SOAK)

# Files that are wrong at random, 20,000 of most kinds that are read; two hours. FUZZ="--inputs 500" for fewer.
fuzz: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m faults.fuzz --inputs 20000 $(FUZZ)

# Inputs that atheris makes, each good file of the parsers for two minutes; half an hour.
guided-fuzz: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[fuzz]"
	PYTHONPATH=tests $(BIN)/python -m faults.guided_fuzz $(FUZZ)

# Every figure of docs/performance.md, in about 10 minutes; make bench BENCH="--store tmqm.h5" measures on those sites too.
bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[bench]"
	$(BIN)/python benchmarks/run.py $(BENCH)

# The studies of docs/accuracy.md, hours of training: make accuracy STORE=fe.h5; what is done is kept in $(ACCURACY).
ACCURACY ?= xanes-hpc-accuracy
accuracy: $(STAMP)
	$(BIN)/python benchmarks/accuracy.py --store $(STORE) --folder $(ACCURACY) all

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

wheel-check: $(STAMP)
	$(BIN)/python .ci/wheel_check.py

clean:
	rm -rf $(VENV) $(LARCH) build dist xanes-hpc-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
