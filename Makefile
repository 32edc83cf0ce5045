.DEFAULT_GOAL := help
SHELL := /bin/bash

# Tools are pinned in modules of their own, so that they add nothing to the module's dependencies.
# buf stands apart from the others: it asks for a protobuf newer than the one that protoc-gen-go is pinned to.
TOOL := go tool -modfile=tools/go.mod
BUF := go tool -modfile=tools/buf/go.mod buf
KO := go tool -modfile=tools/ko/go.mod ko
# Starts one throw-away Postgres, hands its address on as SAGAZ_TEST_POSTGRES, and removes it afterwards.
WITHPG := go run ./internal/testpg/cmd/withpg

# What `make test` runs; override to narrow, e.g. `make test PKG=./inbox/... TESTFLAGS=-v`.
PKG ?= ./...
TESTFLAGS ?=
# Flags of the benchmark, e.g. `make bench BENCHFLAGS="-sagas 100000"`.
BENCHFLAGS ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## run the demo: a few sagas that complete, compensate and recover
	go run ./cmd/sagaz demo

.PHONY: setup
setup: ## install what the tests need (Debian's postgresql) unless it is there
	./tools/setup.sh

.PHONY: test
test: setup ## run all tests with the race detector, against a throw-away Postgres
	$(WITHPG) go test -race -timeout 15m $(TESTFLAGS) $(PKG)

# How long `make sim` looks for seeds that break a promise, e.g. `make sim SIMFLAGS="-for 1h"`; `-seed N -trace` shows one run.
SIMFLAGS ?= -for 60s

.PHONY: sim
sim: ## run whole clusters in virtual time, each from a seed, under faults of every kind
	go run ./cmd/sagazsim $(SIMFLAGS)

# Flags of `make mutants`: `-known` tries the seeds first that showed the bugs before, `-only NAME` is for one bug, `-seeds N` bounds the search.
MUTANTFLAGS ?=

.PHONY: mutants
mutants: ## plant one bug after the other, and see that the simulation finds each
	go run -tags mutants ./cmd/sagazsim -mutants $(MUTANTFLAGS)

.PHONY: bench
bench: setup ## measure what Sagaz costs beside its floor, on a throw-away Postgres and on SQLite
	$(WITHPG) go run ./bench $(BENCHFLAGS)
	$(WITHPG) go run ./bench/events
	dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && go run ./bench -store sqlite://$$dir/bench.db -sagas 4000 -live 20000 $(BENCHFLAGS)

.PHONY: bench-list
bench-list: setup ## measure the API's List over a million sagas, with every filter
	$(WITHPG) go test ./persistence/postgres -run xxx -bench List -benchtime 1x

# Flags of the comparison, e.g. `make bench-peers PEERSFLAGS="-engines sagaz,dbos-20 -rounds 1"`.
PEERSFLAGS ?=

.PHONY: bench-peers
bench-peers: setup ## measure Sagaz beside other engines on one machine; builds their servers first (minutes)
	./bench/peers/servers/build.sh
	$(WITHPG) go run -C bench/peers . -csv $(CURDIR)/docs/peers.csv -svg $(CURDIR)/docs/peers.svg $(PEERSFLAGS)

.PHONY: test-peers
test-peers: setup ## see that every engine of bench-peers runs the same saga; builds their servers first (minutes)
	./bench/peers/servers/build.sh
	$(WITHPG) go test -C bench/peers -count 1 ./...

# How long `make fuzz` looks at each decoder.
FUZZTIME ?= 30s

.PHONY: fuzz
fuzz: ## feed every decoder of foreign bytes with what it does not expect, one after the other
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sed -E 's|^(.*)/[^/]*:func (.*)|\1 \2|' | sort | while read -r dir target; do \
		echo "== $$dir $$target"; go test "$$dir" -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	done

# Flags of the torture, e.g. `make torture TORTUREFLAGS="-for 30m"`.
TORTUREFLAGS ?=

.PHONY: torture
torture: setup ## hurt real processes, Postgres and a broker for 3 minutes, and check what is left
	go run ./internal/torture $(TORTUREFLAGS)

.PHONY: lint
lint: ## check formatting and run the linters of .golangci.yml
	$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## format the Go files
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: ## generate messages/sagazpb from messages/proto
	$(BUF) generate

# Where `make image` puts the image: ko.local is the Docker daemon of this machine, anything else a registry's repository.
IMAGE ?= ko.local/sagaz
TAG ?= dev
# The program that goes into it, e.g. one of your own.
MAIN ?= ./cmd/sagaz

.PHONY: image
image: ## build the container image with ko, e.g. `make image IMAGE=registry.example.com/sagaz TAG=v1`
	KO_DOCKER_REPO=$(IMAGE) $(KO) build --bare --tags $(TAG) $(MAIN)

.PHONY: k8s-check
k8s-check: ## check the manifests, the alerts and their tests; no cluster needed
	./tools/k8s-check.sh

.PHONY: k8s-server-test
k8s-server-test: ## apply the manifests to a real control plane, which it builds first, and run their pods as processes (minutes; as root)
	bin=$$(./tools/controlplane.sh) && SAGAZ_CONTROLPLANE=$$bin go test -tags controlplane -count 1 -timeout 25m -v ./k8s/servertest

.PHONY: k8s-generate
k8s-generate: ## write the objects that hold the alerts and the dashboard
	go run ./k8s/internal/generate k8s

.PHONY: k8s-schemas
k8s-schemas: ## write the schemas of the kinds that k8s/ uses
	go run ./k8s/internal/schemas k8s/schemas
