# make          lists what there is
# make run      builds the release binary and runs a demonstration on this machine only

CARGO ?= cargo
DEMO ?= data

.PHONY: help build run

help:
	@sed -n 's/^# //p' Makefile

# make build    builds target/release/waxwing
build:
	$(CARGO) build --release --locked --package waxwing-server

run: build
	@exec target/release/waxwing demo $(DEMO)

.PHONY: lint test interop powercut soak peers

# make lint     format, clippy and the licences of the dependencies
lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --quiet --locked --workspace --all-targets -- -D warnings
	python3 tools/lint/licences.py

# make test     unit, property, dialog and end-to-end tests
test:
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --workspace --status-level slow --no-fail-fast; \
	else \
		$(CARGO) test --quiet --locked --workspace; \
	fi

# make interop  foreign mail clients against the built binary (installs them: apt, PyPI, npm)
interop: build
	python3 tools/interop/run.py
	python3 tools/mime/peers.py

# make peers    other programs read what the message builder writes, and every field is compared
peers:
	python3 tools/mime/peers.py

# make powercut power cuts, kills, full disks and failing fsyncs (root); CUTS=200 for more
powercut: build
	python3 tools/powercut/run.py

.PHONY: lab

# make lab      the built server among foreign ones in a network of its own (root, Debian 12); ONLY="NAME..." for some
lab: build
	/usr/bin/python3 tools/lab/run.py $(ONLY)

# make soak     the same for hours: CUTS and KILLS say how often
soak: build
	CUTS=$${CUTS:-500} KILLS=$${KILLS:-200} python3 tools/powercut/run.py power kill
	python3 tools/interop/run.py
	WAXWING_COMMANDS=100000 $(CARGO) test --locked --package waxwing-server --test imap_model

.PHONY: test-oracle

# make test-oracle  holds the dialogs of tests/dialogs with Dovecot as well; tests/oracle explains every difference
test-oracle:
	@if [ ! -x /usr/lib/dovecot/imap ] || [ ! -x /usr/lib/dovecot/pop3 ]; then \
		if [ "$$(id -u)" = 0 ]; then \
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends dovecot-imapd dovecot-pop3d; \
		else \
			echo "there is no Dovecot: install the Debian packages dovecot-imapd and dovecot-pop3d, or run this as root"; exit 1; \
		fi; \
	fi
	ORACLE=1 $(CARGO) test --quiet --locked --package waxwing-server --test oracle -- --nocapture --test-threads=1

.PHONY: fuzz

# make fuzz     fuzzes the message library, ten minutes each target (SECONDS_EACH changes that)
fuzz:
	crates/mime/fuzz/run.sh
