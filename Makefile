VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
FIRST_NOTEBOOK := notebooks/00_two_bots.ipynb

# Small models gain nothing from more threads, and two give the same rounding on every machine.
OMP_NUM_THREADS ?= 2
TOKENIZERS_PARALLELISM ?= false
ANONYMIZED_TELEMETRY ?= False
export OMP_NUM_THREADS TOKENIZERS_PARALLELISM ANONYMIZED_TELEMETRY

# Keep the memory of large arrays between two steps of a training: an eighth faster (glibc only, see mallopt(3)).
MALLOC_MMAP_THRESHOLD_ ?= 1073741824
MALLOC_TRIM_THRESHOLD_ ?= 4294967296
export MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_

# Only a model of your own may come from the hub.
ifeq ($(COURSE_LLM)$(COURSE_EMBEDDER),)
HF_HUB_OFFLINE ?= 1
export HF_HUB_OFFLINE
endif

.PHONY: help lab test check scoreboard browser clean

help:
	@echo "make lab         install what is missing, then open the course in JupyterLab"
	@echo "make test        install what is missing, then run the unit tests, the browser tests and all notebooks"
	@echo "make check       install what is missing, then check this machine"
	@echo "make scoreboard  measure all five bots and write workspace/scoreboard.json"
	@echo "make browser     install Chromium for browser tests (Debian and Ubuntu)"
	@echo "make clean       delete the installed packages and what test runs keep; workspace/ stays"

$(INSTALLED): requirements.txt pyproject.toml
	@if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		for candidate in python3.11 python3 python3.12 python3.13; do \
			if $$candidate -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then \
				echo "Creating $(VENV) with $$($$candidate --version) ..."; \
				exec $$candidate -m venv --clear $(VENV); \
			fi; \
		done; \
		echo "The course needs Python 3.11, 3.12 or 3.13 with venv, and none was found."; \
		echo "Install it (Debian and Ubuntu: apt-get install python3 python3-venv; others: python.org), then run make again."; \
		exit 1; \
	fi
	@echo "Installing the packages in requirements.txt into $(VENV): some minutes the first time, not needed again ..."
	@$(PYTHON) -m pip install --disable-pip-version-check --no-compile -r requirements.txt
	@echo "Compiling them, on all processors at once ..."
	@$(PYTHON) -m compileall -qq -j 0 $(VENV)/lib || true  # some packages hold examples in another Python's syntax
	@echo "Installing the course's own package, helpers ..."
	@$(PYTHON) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@$(PYTHON) -m jupyter labextension disable "@jupyterlab/apputils-extension:announcements"  # no news pop-up in class
	@touch $(INSTALLED)

lab: $(INSTALLED)
	@set --; \
	if [ "$$(id -u)" = 0 ]; then set -- "$$@" --allow-root; fi; \
	if [ -n "$$SSH_CONNECTION" ] || { [ "$$(uname)" != Darwin ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; }; then \
		set -- "$$@" --no-browser; \
		echo "No display here. Open the address that JupyterLab prints below in your browser."; \
		echo "From another machine, first run there: ssh -L 8888:localhost:8888 THIS_MACHINE"; \
	fi; \
	echo "Starting JupyterLab with $(FIRST_NOTEBOOK); stop it with Ctrl-C ..."; \
	exec $(PYTHON) -m jupyterlab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/$(FIRST_NOTEBOOK) "$$@" $(LAB_ARGS)

# Two processes of two threads each share two cores without a loss only if a thread that waits sleeps.
test: browser $(INSTALLED)
	@echo "Running every notebook from top to bottom, the unit tests and the labs in a browser ..."
	@BROWSER_SCREENSHOTS="$${BROWSER_SCREENSHOTS:-$(CURDIR)/test-artifacts}" OMP_WAIT_POLICY=PASSIVE \
		$(PYTHON) -m pytest --nbval --numprocesses 2 --dist loadfile --no-loadscope-reorder notebooks tests

check: $(INSTALLED)
	@$(PYTHON) -m helpers check

scoreboard: $(INSTALLED)
	@$(PYTHON) -m helpers scoreboard --json workspace/scoreboard.json

browser:
	@if command -v chromium >/dev/null 2>&1; then \
		echo "Chromium is installed."; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing Chromium ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium \
			|| echo "Chromium could not be installed. Browser tests need it: apt-get install chromium"; \
	else \
		echo "Browser tests need Chromium. Install it with: sudo apt-get install chromium"; \
	fi

clean:
	rm -rf $(VENV) .pytest_cache .cache/test-adapters test-artifacts *.egg-info
	find helpers tests -name __pycache__ -type d -prune -exec rm -rf {} +
