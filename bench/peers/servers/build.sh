#!/usr/bin/env bash
# Builds the servers of the peers, as their go.mod and package-lock.json pin them, into a folder that keeps them: the first time takes
# minutes. SAGAZ_PEERS_BIN names another folder than the user's cache.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bin="${SAGAZ_PEERS_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/sagaz-peers}"
mkdir -p "$bin"

# stale says whether a program is older than what pins it.
stale() { [ ! -e "$bin/$1" ] || [ "$here/$2" -nt "$bin/$1" ]; }

# build makes a program of a package of a module under servers/.
build() {
	stale "$1" "$2/go.mod" || return 0
	echo "servers: building $1"
	go build -C "$here/$2" -o "$bin/$1" "$3"
	touch "$bin/$1"
}

build dtm dtm github.com/dtm-labs/dtm
install -m 644 "$(go list -C "$here/dtm" -m -f '{{.Dir}}' github.com/dtm-labs/dtm)/sqls/dtmsvr.storage.postgres.sql" "$bin/dtm.sql"
build temporal-server temporal go.temporal.io/server/cmd/server
build temporal-sql-tool temporal go.temporal.io/server/cmd/tools/sql
if stale restate-server restate/package-lock.json; then
	echo "servers: fetching restate-server"
	work="$(mktemp -d)"
	trap 'rm -rf "$work"' EXIT
	cp "$here"/restate/package*.json "$work"
	(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund)
	install -m 755 "$work"/node_modules/@restatedev/restate-server-*/bin/restate-server "$bin/restate-server"
fi
