# Everything runs in .venv, which scripts/install.py creates. ARGS is passed on: make test ARGS="-k add_task".

ifeq ($(wildcard manage.py),)
$(error Run make in the checkout of todo-mcp, or name its directory: make -C DIRECTORY run)
endif

# The newest Python that has its own venv, or else the newest. Set PYTHON=… to use another.
PYTHONS := 3.14 3.13 3.12 3.11
first_python = $(shell for python in $(PYTHONS:%=python%) python3; do \
	$$python -c 'import sys, $(1); sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
PYTHON ?= $(or $(call first_python,ensurepip),$(call first_python,sys))
VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
INSTALL = @command -v "$(PYTHON)" >/dev/null || { echo >&2 'todo-mcp: $(or $(PYTHON),Python 3.11 or newer) was not found;' \
	'install one, or name it: PYTHON=/path/to/python3'; exit 1; }; TODO_VENV=$(VENV) "$(PYTHON)" scripts/install.py

# `check --deploy` needs production settings. Nothing connects to this database.
PRODUCTION = ENVIRONMENT=production PUBLIC_URL=https://todo.example.com DATABASE_URL=postgresql://127.0.0.1:1/none \
	SECRET_KEY=only-for-static-checks-0123456789-0123456789-0123456789

.DEFAULT_GOAL := help
.PHONY: help install run test attack e2e kills faults migrate-busy operating cluster bench bench-mechanisms bench-admin flat \
	soak pictures container pythons wheel examples \
	lint ruff mypy imports django lock platforms shell

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

install: ## Create .venv with everything that the other targets need
	$(INSTALL) --dev

run: ## Start the server on port 5000, with a database, a first user and a token; needs only Python
	$(INSTALL)
	@$(VENV_PYTHON) manage.py run $(ARGS)

test: install ## Run every test against a real PostgreSQL, which the tests start
	@$(VENV_PYTHON) -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

pythons: ## Run the tests with each Python from 3.11 to 3.14 that is here: make pythons ARGS=tests/tasks
	@for version in $(PYTHONS); do \
		if ! python$$version -c '' 2>/dev/null; then missing="$$missing $$version"; \
		elif $(MAKE) --no-print-directory test PYTHON=python$$version VENV=.venv-$$version; then passed="$$passed $$version"; \
		else failed="$$failed $$version"; fi; done; \
	echo "Passed:$${passed:- none}. Failed:$${failed:- none}. Not found:$${missing:- none}."; test -n "$$passed" -a -z "$$failed"

wheel: install ## Build the wheel into dist/, and test it in an empty environment with its requirements
	@$(VENV_PYTHON) -m hatchling build --directory dist
	@TODO_TEST_WHEEL=all $(VENV_PYTHON) -m pytest tests/process/test_wheel.py $(ARGS)

attack: install ## Run longer security tests: 50,000 HTTP streams compared with h11, and all fuzz tests
	@TODO_TEST_FRAMING_ROUNDS=1000 HYPOTHESIS_PROFILE=nightly $(VENV_PYTHON) -m pytest tests/security $(ARGS)

e2e: install ## Run the end-to-end tests against a real server; needs Node.js, Chromium and a JDK
	@$(VENV_PYTHON) -m pytest tests/e2e $(ARGS)

examples: VENV = .venv-examples
examples: ## Install two SDKs into an environment of their own, and test the adapters in docs/examples: three minutes
	$(INSTALL) --dev --examples
	@MYPYPATH=docs/examples $(VENV)/bin/python -m mypy --cache-dir $(VENV)/mypy docs/examples/*.py tests/examples/*.py
	@PYTHONPATH=docs/examples $(VENV)/bin/python -m pytest tests/examples $(ARGS)

container: install ## Build the image without Docker, and test it: up to eight minutes; needs root, buildah and mmdebstrap
	@$(VENV_PYTHON) -m pytest tests/container $(ARGS)

lint: ruff mypy imports django ## Run every static check; with -k it continues after a failure

ruff: install
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .

mypy: install
	@$(VENV_PYTHON) -m mypy

# Its script in .venv/bin names the directory in which it was installed, so it fails in a moved checkout.
imports: install
	@$(VENV_PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

django: install
	@$(PRODUCTION) $(VENV_PYTHON) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	@$(PRODUCTION) $(VENV_PYTHON) manage.py check --deploy --fail-level WARNING

kills: install ## Kill the server and its PostgreSQL during writes, twenty times each; let three writers meet, for longer
	@TODO_TEST_KILLS=20 HYPOTHESIS_PROFILE=longer $(VENV_PYTHON) -m pytest tests/faults/test_kills.py \
		tests/faults/test_killed_turns.py tests/conversations/changes/test_state_machine.py $(ARGS)

faults: install ## Cause every fault of the database under writers, and check what callers were told; needs root for one
	@TODO_TEST_FAULTS=all $(VENV_PYTHON) -m pytest tests/faults $(ARGS)

migrate-busy: install ## Migrate a million tasks and messages forward and back while the release before writes
	@$(VENV_PYTHON) -W ignore -m tests.postgres.busy_migration tasks 1000000 1.0
	@$(VENV_PYTHON) -W ignore -m tests.postgres.busy_migration messages 1000000 1.0

operating: install ## Run every line of docs/operating.md and every test of backups: four minutes
	@TODO_TEST_OPERATING=all $(VENV_PYTHON) -m pytest tests/documents/test_operating.py tests/backup $(ARGS)

cluster: install ## Rehearse failures of two hosts, a pooler and a replica; needs root, HAProxy and PgBouncer
	@$(VENV_PYTHON) -m tests.cluster

pictures: install ## Take the pictures of docs/images anew, of a server with demo data; needs Chromium
	@$(VENV_PYTHON) -m tests.documents.pictures

bench: install ## Compare the speed with a plain design on one PostgreSQL; needs wrk; make bench ARGS="--workers 1"
	@$(VENV_PYTHON) -W ignore -m tests.benchmarks.run $(ARGS)

bench-mechanisms: install ## Measure what each special mechanism of the server buys, with and without it; needs wrk
	@$(VENV_PYTHON) -W ignore -m tests.benchmarks.mechanisms $(ARGS)

bench-admin: install ## Time the admin's pages with a million tasks and messages, in a separate database
	@TODO_DATA_DIR=.data/bench-admin DATABASE_URL= $(VENV_PYTHON) -m tests.benchmarks.admin_pages

flat: install ## Time every call with ten thousand and ten million tasks and messages: 45 minutes, 30 GB of disk
	@$(VENV_PYTHON) -W ignore -m tests.benchmarks.flat $(ARGS)

soak: install ## Make a million calls to one worker and watch its memory; needs wrk
	@$(VENV_PYTHON) -W ignore -m tests.benchmarks.soak $(ARGS)

lock: install ## Pin the newest versions that requirements*.in allow: make lock ARGS=--upgrade
	@for name in requirements requirements-dev docs/examples/requirements-sdks; do \
		$(VENV_PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' $(ARGS) $$name.in -o $$name.txt || exit 1; done

platforms: install ## Show for which platforms and Pythons every pinned package has a wheel
	@$(VENV_PYTHON) scripts/platforms.py

shell: install ## Open a Python shell with the models imported
	@$(VENV_PYTHON) manage.py shell
