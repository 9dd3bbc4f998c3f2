# Each target does all the set-up that it needs and does it once. `make` alone lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help lab down e2e test test-unit test-fast down-fast test-networking test-racks test-ha releases faults bench \
	check docs packages test-packages rack-packages docker-group lock clean

PYTHON ?= /usr/bin/python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.kubev6-installed

# An ordinary user's PATH on Debian lacks the directories of dockerd, iptables and debootstrap.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# Membership of the group docker counts at the next login; until then sg grants it to one command.
with_docker = if [ "$$(id -u)" = 0 ] || [ -n "$$DOCKER_HOST" ] || id -nG | grep -qw docker; \
	then $(1); else sg docker -c '$(1)'; fi

help: ## this list
	@echo 'IPv6-only Kubernetes clusters. Start with: make lab'
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target words; do printf '  make %-12s %s\n' "$$target" "$$words"; done
	@echo
	@echo 'Everything else is the command $(BIN)/kubev6: see $(BIN)/kubev6 --help'

lab: $(READY) docker-group ## bring up a real IPv6-only cluster on this machine and prove that it works
	@$(call with_docker,$(BIN)/kubev6 deploy)

down: $(READY) docker-group ## remove that cluster and its machines
	@$(call with_docker,$(BIN)/kubev6 lab down)

# Side by side goes what shares nothing but the processors; a whole cluster wants them for itself.
test: $(READY) docker-group test-packages check ## style, types, unit, integration, and whole clusters; not test-networking, releases and all faults
	@$(call with_docker,$(BIN)/python -m pytest tests/unit tests/integration -n auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder; \
		ended=$$?; $(BIN)/python -m pytest tests/cluster tests/faults && exit $$ended)

test-unit: $(READY) ## the tests that need nothing but Python, in under a minute
	@$(BIN)/python -m pytest tests/unit

test-fast: $(READY) docker-group test-packages ## these, the quickest others, and a deploy on a lab that is kept; 4 minutes
	@$(call with_docker,$(BIN)/python -m pytest -m fast --kept-lab)

down-fast: $(READY) docker-group ## remove the lab that test-fast keeps
	@$(call with_docker,$(BIN)/kubev6 lab down --cluster kubev6-fast-test)

test-networking: $(READY) docker-group test-packages ## a cluster on machines with each networking tool that Debian has, and one with another CNI
	@export KUBEV6_TEST_NETWORKING='ifupdown netplan networkmanager'; \
	$(call with_docker,$(BIN)/python -m pytest tests/cluster/test_networking_tools.py tests/cluster/test_own_cni.py)

# Two machines at a time, each in a network of its own, which is root's to make.
test-racks: $(READY) rack-packages ## each networking tool on virtual machines: bonds, VLANs, DHCP, power cuts; writes docs/racks.md
	@export KUBEV6_TEST_RACKS='networkd ifupdown netplan networkmanager'; log=$$(mktemp); \
	sudo=''; [ "$$(id -u)" = 0 ] || sudo='sudo -E'; \
	run() { $$sudo $(BIN)/python -m pytest tests/racks -p no:cacheprovider -k "$$1"; }; \
	run 'networkd or ifupdown' >"$$log" 2>&1 & \
	run 'netplan or networkmanager'; ended=$$?; wait $$! || ended=$$?; cat "$$log"; rm "$$log"; \
	$(BIN)/python -m docs.generator; exit $$ended

test-ha: $(READY) docker-group test-packages ## labs whose control planes are killed, taken out, replaced, lost and restored; 40 minutes
	@export KUBEV6_TEST_HA=all; \
	$(call with_docker,$(BIN)/python -m pytest -s tests/cluster/test_control_planes.py tests/cluster/test_backup.py)

releases: $(READY) docker-group test-packages ## each release of which KUBEV6_TREES holds a tree, built and on a lab
	@$(call with_docker,$(BIN)/python -m pytest tests/cluster/test_releases.py)

e2e: $(READY) docker-group ## all of upstream's tests of the network against the cluster of `make lab`, which it brings up
	@$(call with_docker,$(BIN)/kubev6 deploy && $(BIN)/kubev6 e2e)

faults: $(READY) docker-group test-packages ## everything that can go wrong, on two labs at once; writes docs/faults.md
	@$(call with_docker,$(BIN)/python -m tests.faults); \
	ended=$$?; $(BIN)/python -m docs.generator; exit $$ended

bench: $(READY) docker-group ## how fast it is, beside other tools, on the cluster of `make lab`; writes docs/benchmarks.md
	@$(call with_docker,$(BIN)/kubev6 server up && $(BIN)/kubev6 deploy && \
		for each in start no_op series; do $(BIN)/python -m tests.bench.$$each || exit; done); \
	ended=$$?; $(BIN)/python -m docs.generator; exit $$ended

check: $(READY) ## style and types only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(READY) ## write the reference pages again from the code
	@$(BIN)/python -m docs.generator

# What a bare Debian 12 lacks. Looked for by what is needed and not by package name, so that an engine installed
# from elsewhere is left as it is.
packages:
	@missing=''; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	command -v git >/dev/null || missing="$$missing git"; \
	command -v dockerd >/dev/null || missing="$$missing docker.io"; \
	command -v containerd >/dev/null || missing="$$missing containerd"; \
	command -v iptables >/dev/null || missing="$$missing iptables"; \
	command -v debootstrap >/dev/null || missing="$$missing debootstrap"; \
	command -v ssh >/dev/null || missing="$$missing openssh-client"; \
	[ -s /etc/ssl/certs/ca-certificates.crt ] || missing="$$missing ca-certificates"; \
	if grep -qs Y /sys/module/apparmor/parameters/enabled; then \
		command -v apparmor_parser >/dev/null || missing="$$missing apparmor"; fi; \
	[ -n "$$missing" ] || exit 0; \
	command -v apt-get >/dev/null || { echo "make: missing:$$missing; this is not Debian: install them" >&2; exit 1; }; \
	sudo=''; \
	if [ "$$(id -u)" != 0 ]; then \
		command -v sudo >/dev/null || { echo "make: missing:$$missing; run this as root, or install sudo" >&2; exit 1; }; \
		sudo='sudo'; fi; \
	echo "Installing Debian packages:$$missing"; \
	install="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends$$missing"; \
	$$install || { $$sudo apt-get update -q && $$install; }

# The tests talk to an sshd that they start themselves. One that Debian starts for this machine is not wanted.
# Reports are looked at in a real browser, and the store with a tool that reads OCI image layouts.
test-packages: | packages
	@missing=''; \
	[ -x /usr/sbin/sshd ] || missing="$$missing openssh-server"; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v skopeo >/dev/null || missing="$$missing skopeo"; \
	[ -n "$$missing" ] || exit 0; \
	sudo=''; [ "$$(id -u)" = 0 ] || sudo='sudo'; \
	echo "Installing for the tests:$$missing; no service of theirs is started"; \
	[ -x /usr/sbin/sshd ] || $$sudo ln -sf /dev/null /etc/systemd/system/ssh.service; \
	install="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends$$missing"; \
	$$install || { $$sudo apt-get update -q && $$install; }

# dnsmasq answers in networks of the tests' own; its service is not installed.
rack-packages: | packages
	@missing=''; \
	command -v qemu-system-x86_64 >/dev/null || missing="$$missing qemu-system-x86"; \
	command -v qemu-img >/dev/null || missing="$$missing qemu-utils"; \
	[ -x /usr/sbin/dnsmasq ] || missing="$$missing dnsmasq-base"; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	[ -n "$$missing" ] || exit 0; \
	sudo=''; [ "$$(id -u)" = 0 ] || sudo='sudo'; \
	echo "Installing for the tests:$$missing"; \
	install="$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends$$missing"; \
	$$install || { $$sudo apt-get update -q && $$install; }

docker-group: | packages
	@[ "$$(id -u)" = 0 ] || [ -n "$$DOCKER_HOST" ] || getent group docker | grep -qw "$$(id -un)" || { \
		echo "Adding $$(id -un) to the group docker"; sudo usermod -aG docker "$$(id -un)"; }

# --no-deps: the lock names all there is to install, and pip looks for an extra of a package among others than those of
# the lock. --no-build-isolation: what builds kubev6 itself is in the lock too, and nothing is fetched unchecked.
$(READY): requirements.lock pyproject.toml | packages
	@echo 'Installing the locked Python packages into $(VENV): half a minute'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The lock holds hashes and no address, so that it is as good with any index; hence without this machine's settings.
lock: | packages ## choose the newest allowed versions of all packages again
	@$(PYTHON) -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	@env -u PIP_FIND_LINKS PIP_CONFIG_FILE=/dev/null $(VENV)/lock/bin/pip-compile --quiet --upgrade --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --no-header --no-annotate \
		--strip-extras --allow-unsafe --extra dev --build-deps-for editable --output-file $(VENV)/lock/packages pyproject.toml
	@{ echo '# Every package that kubev6 and its tests need, with the hashes of its files. Made by `make lock`;'; \
		echo '# not edited by hand.'; cat $(VENV)/lock/packages; } >$(VENV)/lock/requirements.lock
	@mv $(VENV)/lock/requirements.lock requirements.lock
	@rm -rf $(VENV)/lock

clean: ## remove the virtual environment; clusters, releases and caches stay
	@rm -rf $(VENV)
