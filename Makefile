# `make run` starts the service, `make test` checks it. Both need Python 3.13 and bring the rest with them.
# Progress goes to standard error: what `make -s token` prints is the token.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
AZURITE := local/node_modules/.package-lock.json
CHECKOV := .venv-checkov/.installed
TEST_PROCESSES ?= 2
CODE := $(wildcard function_app.py) manage.py functions shared local benchmarks tests

.PHONY: help run host test lint audit bench demo docs token pins places clean

help: ## Say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

run: $(INSTALLED) $(AZURITE) ## Run the service until Ctrl-C (PORT, MICROSOFT365_PORT, AZURITE_PORT, DATA_DIR)
	@$(BIN)/python -m local.run --end-with-parent

host: $(INSTALLED) ## Run a second Functions host beside a running service (PORT=7073 make host)
	@$(BIN)/python -m local.run --only-host --end-with-parent

test: lint $(AZURITE) $(CHECKOV) ## Lint, then run all tests
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED) ## Check style, security (flake8-bandit's rules), types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

audit: $(INSTALLED) ## Look the pinned dependencies up for known vulnerabilities (needs the network)
	@$(BIN)/python -m local.audit

bench: $(INSTALLED) $(AZURITE) ## Measure the service beside a synchronous tracker
	@$(BIN)/python -m benchmarks

demo: $(INSTALLED) ## One followed mail from compose to reply, told in the terminal (by a service of its own where none runs)
	@$(BIN)/python -m local.demo

docs: $(INSTALLED) ## Write docs/tables.md anew from the schema
	@$(BIN)/python -m local.reference

# Every shell sets USER to a login name; only an address is meant for us.
token: export USER := $(if $(findstring @,$(USER)),$(USER),seller@contoso.example)
token: $(INSTALLED) ## Print a bearer token (USER=seller@contoso.example, EXPIRES_IN=-60, ROLES=)
	@$(BIN)/python -m local.token

places: $(INSTALLED) ## Write the names of countries anew from Unicode CLDR, as the installed Babel has it
	@$(BIN)/python -m local.country_names

pins: $(INSTALLED) ## Compile the requirements*.txt anew from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--upgrade --quiet --output-file requirements.txt
	$(BIN)/uv pip compile --group dev --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--upgrade --quiet --constraint requirements.txt --output-file requirements-dev.txt
	$(BIN)/uv pip compile --group checkov --generate-hashes --no-annotate --no-header --no-emit-index-url \
		--upgrade --quiet --output-file requirements-checkov.txt

clean: ## Remove the virtual environment, Azurite and all local data
	rm -rf $(VENV) .venv-checkov local/node_modules .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# PYTHON names an interpreter; otherwise 3.13 is looked for on PATH and among pyenv's versions. A pyenv shim may stand
# on PATH without leading anywhere, so each candidate is asked.
define FIND_PYTHON
is_313() { "$$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }; \
if [ -n "$(PYTHON)" ]; then \
	is_313 "$(PYTHON)" || { echo "PYTHON=$(PYTHON) is not a Python 3.13." >&2; exit 1; }; \
	python="$(PYTHON)"; \
else \
	for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python3 python3 ""; do \
		is_313 "$$python" && break; \
	done; \
fi; \
if [ -z "$$python" ]; then \
	echo "Python 3.13 was not found on PATH nor among pyenv's versions." >&2; \
	echo "Install it (for example: pyenv install 3.13), or name it: make PYTHON=/path/to/python3.13 ..." >&2; \
	exit 1; \
fi
endef

$(INSTALLED): requirements.txt requirements-dev.txt
	@$(FIND_PYTHON); \
	echo "Making the virtual environment and installing the pinned requirements (a minute or two) ..." >&2; \
	"$$python" -m venv $(VENV) >&2 && \
	$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes \
		-r requirements.txt -r requirements-dev.txt >&2
	@touch $@

# checkov pins old packages, so it lives by itself.
$(CHECKOV): requirements-checkov.txt $(INSTALLED)
	@echo "Installing checkov, which checks infra/bicep for security (half a minute) ..." >&2
	@$(BIN)/python -m venv .venv-checkov >&2
	@.venv-checkov/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes \
		-r requirements-checkov.txt >&2
	@touch $@

$(AZURITE): local/package-lock.json $(INSTALLED)
	@$(BIN)/python -m local.azurite install
	@touch $@
