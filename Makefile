# Everything below needs only make, a POSIX shell and Python 3.11 or newer: each target makes its own environment.
#   make demo    the whole analysis on the bundled simulated trial
#   make test    the linter, the type checker and the test suite
# Variables: VENV (where the environment goes), OUT (where the demo writes), PYTHON (interpreter),
# UV (path of uv; UV=none installs with pip).

VENV ?= .venv
OUT ?= results/demo
# Most of the suite's time is compilation, so tests of one file stay in one process.
PYTEST_OPTIONS ?= --numprocesses auto --maxprocesses 6 --dist loadfile

BIN = $(VENV)/bin
LOCK = constraints.txt

# A shim of a version manager may stand in PATH for a Python that is not there, so each one is asked.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
UV ?= $(shell command -v uv 2>/dev/null)

.DELETE_ON_ERROR:
.PHONY: demo test lint lock clean

demo: $(VENV)/.installed-run
	$(BIN)/cellkinetics demo --out $(OUT) --force

test: lint
	$(BIN)/pytest $(PYTEST_OPTIONS)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Newest versions that the limits in pyproject.toml allow, one set for every Python and platform.
lock:
	@if [ -z "$(UV)" ]; then echo "make lock needs uv: https://docs.astral.sh/uv" >&2; exit 1; fi
	$(UV) pip compile --quiet --universal --upgrade --fork-strategy fewest --all-extras --python-version 3.11 \
		--no-emit-index-url --no-annotate --custom-compile-command "make lock" pyproject.toml -o $(LOCK)

clean:
	[ ! -f $(VENV)/pyvenv.cfg ] || rm -rf $(VENV)
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

$(VENV)/.installed-run: EXTRAS =
$(VENV)/.installed-test: EXTRAS = [test]

$(VENV)/.installed-run $(VENV)/.installed-test: pyproject.toml $(LOCK) | $(VENV)/pyvenv.cfg
	@echo "Installing cellkinetics$(EXTRAS) into $(VENV) ..."
	@uv="$(UV)"; [ -n "$$uv" ] || uv="$(BIN)/uv"; \
	if [ -x "$$uv" ]; then \
		"$$uv" pip install --quiet --python $(BIN)/python --constraint $(LOCK) --editable ".$(EXTRAS)"; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(LOCK) --editable ".$(EXTRAS)"; \
	fi
	@touch $@

# uv is taken where it is, else put into the environment; where that fails, pip does the same more slowly.
$(VENV)/pyvenv.cfg:
	@if [ -z "$(PYTHON)" ]; then \
		echo "cellkinetics needs Python 3.11 or newer and none was found in PATH." >&2; \
		echo "Install one from https://www.python.org/downloads, or name yours: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi
	@echo "Making the environment $(VENV) with $(PYTHON) ..."
	@if [ -x "$(UV)" ]; then \
		"$(UV)" venv --quiet --clear --python "$(PYTHON)" $(VENV); \
	elif ! "$(PYTHON)" -c 'import ensurepip' 2>/dev/null; then \
		echo "$(PYTHON) cannot make environments (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; \
	else \
		"$(PYTHON)" -m venv --clear $(VENV) || exit 1; \
		[ "$(UV)" = none ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv || \
			echo "uv could not be installed; going on with pip"; \
	fi
