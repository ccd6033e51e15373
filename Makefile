# The commands of everyday work. `make run` is all that a newcomer needs.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BOX_STAMP := $(VENV)/.box-installed
FUZZ_STAMP := $(VENV)/.fuzz-installed
MINUTES := 13
PACKAGES := softflowd openvswitch-switch nfdump tshark tcpdump mariadb-server openssl curl pmacct \
	ifupdown iproute2 snmpd isc-dhcp-client dnsmasq-base chromium fonts-dejavu-core nodejs \
	clickhouse-server clickhouse-client zookeeper default-jre-headless gcc pkg-config \
	libfixbuf-dev libfixbuf-tools

# Boxes and images are made by root only, in tests/box and tests/image; nobody else needs these.
BOX_PACKAGES := mmdebstrap systemd-container slirp4netns openssh-client podman
ifeq ($(shell id -u),0)
PACKAGES += $(BOX_PACKAGES)
BOX_TOOLS := $(BOX_STAMP)
endif
VM_PACKAGES := qemu-system-x86 qemu-utils e2fsprogs
VAGRANT_PACKAGES := vagrant vagrant-libvirt libvirt-daemon-system libvirt-clients grub-pc-bin \
	grub-common fdisk

# The first Python that is new enough; name another one with `make PYTHON=...`.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

# Of the box, as `uname -m` says there: x86_64 or aarch64.
ARCHITECTURE := x86_64
# Of the box, as `python3 --version` says there; empty: those of Debian 12 and 13.
BOX_PYTHONS :=

# What `make test-python` runs the unit tests with: Debian's releases, or versions that are here.
PYTHONS := trixie forky
# What it runs of them, as pytest's words; empty: all that need no box and no browser.
TESTS :=

# Which Debian tests/box makes boxes of; tests/box/releases.py has the names and the default.
ifeq ($(origin RELEASE),command line)
export APPLIANCE_RELEASE := $(RELEASE)
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run demo test lint lint-console screenshots format bench soak fuzz lock vendor clean packages bundle ansible \
	appliance named-host test-python test-box test-vm test-vagrant deb deb-check test-deb image release release-check
.DEFAULT_GOAL := help

help:
	@echo 'make run     install into $(VENV) and run the appliance (UDP 2055 and 4739)'
	@echo 'make run HOST=0.0.0.0   the console for browsers on other machines, too; also with demo'
	@echo 'make demo    the same, with invented exporters that send flows to it'
	@echo 'make test    install what the tests need, then run them'
	@echo 'make lint    ruff and mypy'
	@echo 'make lint-console   the types of the console; needs npm'
	@echo 'make format  bring the code into shape'
	@echo 'make bench   measure; a table and JSON'
	@echo 'make soak    an hour of kills, full disks and absent databases; counts what is left'
	@echo 'make fuzz    every reader of octets against a fuzzer; MINUTES=60 for longer'
	@echo 'make lock    pin the newest allowed versions in requirements.lock'
	@echo 'make vendor  take the libraries of the console from npm again'
	@echo 'make screenshots   the pictures of README and manual, from the demo; needs Chromium'
	@echo 'make bundle  what a box installs, as one file for each Python of a box in dist/'
	@echo 'make deb     a Debian package for the release and processor of this machine, in dist/'
	@echo 'make deb-check   makes it twice and compares; lintian too, where it is installed'
	@echo 'make test-deb    installs, upgrades and purges it in a container of Debian 12'
	@echo 'make image   a container image for docker and podman, in dist/; needs no registry'
	@echo 'make release   all that people install, of this commit, with digests, in dist/'
	@echo 'make release-check   makes it twice and compares'
	@echo 'make appliance HOST=ADDRESS   turn a bare Debian 12 or 13 into an appliance'
	@echo 'make test-python   the unit tests with Python 3.13 and 3.14 in trees of Debian; as root'
	@echo 'make test-box    the tests of a whole box in a container; as root'
	@echo 'make test-vm, test-vagrant    the same in a virtual machine'
	@echo '             RELEASE=trixie makes these four take Debian 13'
	@echo 'make clean   remove $(VENV) and caches; the data in var/ stays'

# For a browser on another machine: `make run HOST=0.0.0.0`, or one address of this machine.
WEB_HOST = $(if $(HOST),--web-host '$(HOST)')

run: $(STAMP)
	@$(BIN)/appliance cert --if-missing
	@$(BIN)/appliance run $(WEB_HOST)

demo: $(STAMP)
	@$(BIN)/appliance cert --if-missing
	@$(BIN)/appliance run --demo $(WEB_HOST)

# What fails is tried once more, as thousands of tests talk to other programs on busy machines;
# the summary names each that needed it.
test: packages $(STAMP) $(BOX_TOOLS)
	@# Tests start the program thousands of times: compiled modules are kept, whoever forbids it.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 2 --dist loadscope \
	  --no-loadscope-reorder --reruns 1 -rR

test-python: packages $(STAMP)
	@$(BIN)/python -m tests.pythons $(PYTHONS) $(if $(TESTS),-- $(TESTS))

test-box: packages $(STAMP) $(BOX_STAMP)
	@$(BIN)/python -m pytest -n 0 -m box -rA tests/box

test-vm: PACKAGES += $(BOX_PACKAGES) $(VM_PACKAGES)
test-vm: packages $(STAMP) $(BOX_STAMP)
	@APPLIANCE_BOX=vm $(BIN)/python -m pytest -m box -rA tests/box

test-vagrant: PACKAGES += $(BOX_PACKAGES) $(VM_PACKAGES) $(VAGRANT_PACKAGES)
test-vagrant: packages $(STAMP) $(BOX_STAMP)
	@$(BIN)/python -m pytest -m vagrant -rA tests/box

bundle: $(STAMP)
	@$(BIN)/python ansible/bundle.py dist --architecture $(ARCHITECTURE) \
	  $(addprefix --python ,$(BOX_PYTHONS))

deb: $(STAMP)
	@cd ansible && ../$(BIN)/python -m debian ../dist

deb-check: $(STAMP)
	@ansible/debian/check.sh $(abspath $(BIN))/python

image: $(STAMP)
	@cd ansible && ../$(BIN)/python -m image ../dist

release: $(STAMP)
	@cd ansible && ../$(BIN)/python -m release ../dist

release-check: $(STAMP)
	@ansible/release/check.sh $(abspath $(BIN))/python

test-deb: packages $(STAMP)
	@$(BIN)/python -m pytest -n 0 -rA tests/box/test_package.py

vendor:
	@appliance/plugins/console/vendoring/vendor.sh

ansible: $(BOX_STAMP)

# SSH_USER logs in and may use sudo; ANSIBLE_OPTIONS such as `-e @site-variables.yml -K`.
appliance: named-host bundle ansible
	@cd ansible && ../$(BIN)/ansible-playbook -i '$(HOST),' $(if $(SSH_USER),-u $(SSH_USER)) \
	  $(ANSIBLE_OPTIONS) site.yml

named-host:
	@test -n '$(HOST)' || { echo 'name the machine: make appliance HOST=192.0.2.10'; exit 2; }

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lint-console:
	@appliance/plugins/console/vendoring/check.sh

screenshots: $(STAMP)
	@$(BIN)/python -m tests.plugins.console.screenshots

format: $(STAMP)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP)
	@$(BIN)/python -m tests.benchmarks

soak: $(STAMP)
	@APPLIANCE_SOAK_ROUNDS=100 $(BIN)/python -m pytest -m soak --timeout 7200

fuzz: $(FUZZ_STAMP)
	@$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

# Kernels in C are built by setup.py, where there is a compiler.
$(STAMP): requirements.lock pyproject.toml setup.py $(wildcard appliance/native/*.[ch])
	@test -n '$(PYTHON)' || { \
	  echo 'Python 3.11 or newer is needed: apt-get install python3 python3-venv'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'Python cannot make virtual environments here: apt-get install python3-venv'; exit 1; }
	@echo 'installing into $(VENV), this takes a minute ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@# So that the first start need not compile.
	@$(BIN)/python -m compileall -q appliance
	@touch $@

$(BOX_STAMP): $(STAMP) tests/box/requirements.lock
	@echo 'installing Ansible into $(VENV), this takes a minute ...'
	@$(BIN)/python -m pip install --quiet --require-hashes -r tests/box/requirements.lock
	@touch $@

$(FUZZ_STAMP): $(STAMP) tests/fuzz/requirements.lock
	@echo 'installing the fuzzer into $(VENV) ...'
	@$(BIN)/python -m pip install --quiet --require-hashes -r tests/fuzz/requirements.lock
	@touch $@

# Installs where that needs no question: as root, or with sudo that asks for no password.
packages:
	@missing=; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' \
	  || missing="$$missing $$package"; done; \
	test -z "$$missing" && exit 0; \
	sudo=; test "$$(id -u)" = 0 || sudo='sudo -n'; \
	if command -v apt-get >/dev/null && $$sudo true 2>/dev/null; then \
	  echo "installing$$missing ..."; \
	  $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else \
	  echo "tests that need these Debian packages will be skipped:$$missing"; \
	fi

# The build requirement (setuptools) is pinned too, so that installing needs no build isolation.
lock: $(STAMP)
	@$(BIN)/python -m pip install --quiet 'pip-tools>=7.4'
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --extra dev --strip-extras \
	  --allow-unsafe --all-build-deps --no-header --no-annotate --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host -o requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host -c requirements.lock -o tests/box/requirements.lock \
	  tests/box/requirements.in

clean:
	@rm -rf $(VENV) build dist *.egg-info appliance/native/*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
