# make demo   install what is missing, start everything, end with a table and the address of a web page
# make test   all tests
.POSIX:
PYTHON = python3
VENV = .venv
# The tests start thousands of Pythons: what they compile is kept, whatever the caller's environment says.
PYTEST = PYTHONDONTWRITEBYTECODE= $(VENV)/bin/pytest -q
# Each file is on addresses of its own, so files run side by side. Long files come first (tests/component/conftest.py),
# not those with many tests.
BY_FILE = --dist loadfile --no-loadscope-reorder
CHECK = $(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports

help:
	@sed -n 's/^# make/make/p' Makefile

demo: packages $(VENV)/.runtime
	@$(VENV)/bin/inaetics demo

# make check  lint, types and import contracts only
check: $(VENV)/.dev
	$(CHECK)

# On two cores: unit tests compute. Component tests wait about as long as they compute: twice as many as there are cores.
# The checks take what is left over beside both. The fault tests mostly wait: three clusters at a time, and nothing that
# computes beside them, because they judge what happened by the clock. The system tests load the machine as far as it goes.
test:
	@$(MAKE) --jobs=2 packages-test $(VENV)/.dev # Debian's packages arrive while pip installs the Python ones
	@nice -n 19 sh -c '$(CHECK)' > $(VENV)/check.log 2>&1 & checks=$$!; trap 'kill $$checks' INT TERM; \
	$(PYTEST) -n 2 $(BY_FILE) tests/unit && $(PYTEST) -n 4 $(BY_FILE) tests/component; tests=$$?; \
	wait $$checks; checks=$$?; cat $(VENV)/check.log; test "$$tests-$$checks" = 0-0
	$(PYTEST) -n 3 $(BY_FILE) tests/fault
	$(PYTEST) tests/system

# make tools  what tests of your own bundles need, into .venv
tools: $(VENV)/.dev

# make soak   the tests that take minutes
soak: packages-test $(VENV)/.dev
	$(PYTEST) -m soak tests

# make bench  measure what the budgets name; prints tables
bench: packages $(VENV)/.dev
	$(VENV)/bin/python -m bench

# make lock   resolve the dependencies anew (needs uv)
lock:
	tools/lock

packages:
	@tools/install-packages

packages-test: packages
	@tools/install-packages --test

# Behind the packages, because python3-venv is one of them.
$(VENV)/bin/python: | packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}. Another one: make demo PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.lock pyproject.toml $(VENV)/bin/python
	@echo "Installing Python packages into $(VENV)"
	@$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/runtime.lock
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# All that .runtime has, and more. Not compiled: most of it no test loads, and what one loads is kept from then on.
$(VENV)/.dev: requirements/dev.lock pyproject.toml $(VENV)/bin/python
	@echo "Installing the project and the tools of its tests into $(VENV)"
	@$(VENV)/bin/pip install -q --disable-pip-version-check --require-hashes --no-compile -r requirements/dev.lock
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(VENV)/.runtime $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis test-evidence

.PHONY: help demo check test tools soak bench lock packages packages-test clean
