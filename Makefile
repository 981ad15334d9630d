# The two commands that matter are `make serve` and `make test`: each sets up what it needs first.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
MODULES := tests/node/node_modules/.package-lock.json

# Stamps: touched when the environment holds what the files they depend on ask for.
INSTALLER := $(VENV)/.installer
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
# A development environment can serve too, and must not lose its tools for it.
ABLE_TO_SERVE := $(if $(wildcard $(DEV)),$(DEV),$(RUNTIME))

PACKAGE := pyproject.toml src/runcache/__init__.py
CHECKED := $(wildcard src tests benchmarks fuzz)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve setup test late check bench fuzz soak lock clean

help:
	@echo 'make serve   set up what is needed, then serve on http://127.0.0.1:8480/ (ARGS="--port 9000")'
	@echo 'make test    set up what is needed, then run the whole test suite (ARGS="-k prefix")'
	@echo 'make late    the test suite with threads that are late at random (ARGS="tests/store")'
	@echo 'make setup   the development environment, without running anything'
	@echo 'make check   format, lint, types, layers, dependencies, deploy files'
	@echo 'make bench   the benchmarks (ARGS="--help")'
	@echo 'make fuzz    generated cases, more than make test has (ARGS="expressions --count 100")'
	@echo 'make soak    replicas and engines that fail at random for half an hour (CHAOS_SECONDS=600)'
	@echo 'make lock    renew requirements/*.txt and tests/node/package-lock.json'
	@echo 'make clean   remove everything that make created, but not the data in .runcache'

serve: $(ABLE_TO_SERVE)
	@exec $(BIN)/runcache serve --data .runcache $(ARGS)

setup: $(DEV) $(MODULES)

test: setup
	$(BIN)/python -m pytest -n auto $(ARGS)

late: setup
	$(BIN)/python -m pytest -n auto -p tests.late_threads -o timeout=600 $(ARGS)

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports
	$(BIN)/deptry src
	$(BIN)/hadolint deploy/Dockerfile
	$(BIN)/shellcheck .ci/run deploy/make-secrets
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/check-jsonschema --check-metaschema deploy/helm/runcache/values.schema.json
	$(BIN)/python -m pytest --quiet tests/deploy

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

fuzz: setup
	$(BIN)/python -m fuzz $(ARGS)

soak: setup
	CHAOS_SECONDS=$${CHAOS_SECONDS:-1800} $(BIN)/python -m pytest -s tests/faults/test_chaos.py $(ARGS)

# What is locked stays locked: `make lock ARGS=--upgrade` moves to the newest releases.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(ARGS)

lock: $(INSTALLER)
	$(COMPILE) --group installer --output-file requirements/uv.txt
	$(COMPILE) --group build --output-file requirements/build.txt
	$(COMPILE) pyproject.toml -c requirements/build.txt --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --group build --group test --group dev -c requirements/build.txt \
		-c requirements/runtime.txt --output-file requirements/dev.txt
	$(MAKE) --no-print-directory $(DEV)
	$(BIN)/python -m tests.genuine lock

clean:
	rm -rf $(VENV) tests/node/node_modules .hypothesis .import_linter_cache .mypy_cache \
		.pytest_cache .ruff_cache dist

$(INSTALLER): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'error: `$(PYTHON)` is not Python 3.11 or newer' >&2; \
		echo 'hint: name one that is: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $<
	@touch $@

# The project itself is installed as a link to src, by the build backend that was just installed.
SYNC = $(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes \
	--build-constraints requirements/build.txt
LINK = $(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .

$(RUNTIME): requirements/build.txt requirements/runtime.txt $(PACKAGE) $(INSTALLER)
	$(SYNC) requirements/build.txt requirements/runtime.txt
	$(LINK)
	@touch $@

$(DEV): requirements/dev.txt $(PACKAGE) $(INSTALLER)
	$(SYNC) requirements/dev.txt
	$(LINK)
	@touch $@

$(MODULES): tests/node/package.json tests/node/package-lock.json | $(DEV)
	$(BIN)/python -m tests.genuine install
	@touch $@
