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
