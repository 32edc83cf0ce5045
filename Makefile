.DEFAULT_GOAL := help
SHELL := /bin/bash

# Tools are pinned in modules of their own, so that they add nothing to the module's dependencies.
# buf stands apart from the others: it asks for a protobuf newer than the one that protoc-gen-go is pinned to.
TOOL := go tool -modfile=tools/go.mod
BUF := go tool -modfile=tools/buf/go.mod buf
# Starts one throw-away Postgres, hands its address on as SAGAZ_TEST_POSTGRES, and removes it afterwards.
WITHPG := go run ./internal/testpg/cmd/withpg

# What `make test` runs; override to narrow, e.g. `make test PKG=./inbox/... TESTFLAGS=-v`.
PKG ?= ./...
TESTFLAGS ?=
# Flags of the benchmark, e.g. `make bench BENCHFLAGS="-sagas 100000"`.
BENCHFLAGS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## run the demo: a few sagas that complete, compensate and recover
	go run ./cmd/sagaz demo

.PHONY: setup
setup: ## install what the tests need (Debian's postgresql) unless it is there
	./tools/setup.sh

.PHONY: test
test: setup ## run all tests with the race detector, against a throw-away Postgres
	$(WITHPG) go test -race -timeout 15m $(TESTFLAGS) $(PKG)

.PHONY: bench
bench: setup ## three no-op steps beside their floor, on a throw-away Postgres and on SQLite
	$(WITHPG) go run ./bench $(BENCHFLAGS)
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && go run ./bench -store sqlite://$$dir/bench.db -sagas 8000 $(BENCHFLAGS)

.PHONY: lint
lint: ## check formatting and run the linters of .golangci.yml
	$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## format the Go files
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: ## generate messages/sagazpb from messages/proto
	$(BUF) generate
