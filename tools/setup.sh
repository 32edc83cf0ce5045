#!/usr/bin/env bash
# Makes sure that what the tests need is there: the programs of the Postgres, Redis and RabbitMQ servers, a C compiler (the
# race detector links with it), make, curl, openssl, libfaketime, and Node.js with the packages of examples/polyglot. On Debian it installs what is
# missing; it starts nothing: the tests run throw-away servers of their own.
set -euo pipefail

postgres() {
	local dir
	for dir in /usr/lib/postgresql/*/bin; do
		[ -x "$dir/initdb" ] && { echo "$dir"; return 0; }
	done
	command -v initdb >/dev/null && dirname "$(command -v initdb)"
}

compiler() {
	local cc
	cc=$(go env CC 2>/dev/null || true)
	command -v "${cc%% *}" 2>/dev/null || command -v gcc
}

rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || command -v rabbitmq-server; }

fail() {
	echo "setup: $*" >&2
	echo "setup: the tests need initdb and postgres (PostgreSQL 14 or newer, in /usr/lib/postgresql/*/bin or on PATH), redis-server 6 or newer," \
		"rabbitmq-server 3.9 or newer with Erlang's epmd, a C compiler, make, curl, openssl, and node 18 or newer with npm." >&2
	exit 1
}

# The packages of the Node.js participant, as its lock file has them.
polyglot() {
	local dir
	dir="$(dirname "${BASH_SOURCE[0]}")/../examples/polyglot"
	[ -e "$dir/package-lock.json" ] || return 0
	if [ -e "$dir/node_modules/.package-lock.json" ] && [ ! "$dir/package-lock.json" -nt "$dir/node_modules/.package-lock.json" ]; then
		return 0
	fi
	echo "setup: npm ci in examples/polyglot"
	(cd "$dir" && npm ci --no-audit --no-fund --ignore-scripts) || fail "npm ci failed in examples/polyglot (see above)."
	touch "$dir/node_modules/.package-lock.json"
}

packages=()
postgres >/dev/null || packages+=(postgresql)
compiler >/dev/null || packages+=(gcc libc6-dev)
command -v make >/dev/null || packages+=(make)
command -v curl >/dev/null || packages+=(curl ca-certificates)
command -v openssl >/dev/null || packages+=(openssl)
command -v redis-server >/dev/null || packages+=(redis-server)
rabbitmq >/dev/null || packages+=(rabbitmq-server)
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
# For `make torture` alone, which does without where it cannot be had.
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || ! command -v apt-get >/dev/null || packages+=(libfaketime)
if [ "${#packages[@]}" -eq 0 ]; then
	polyglot
	echo "setup: nothing to install; Postgres is in $(postgres)"
	exit 0
fi

lacking="lacking: ${packages[*]}"
command -v apt-get >/dev/null || fail "$lacking; there is no apt-get to install with: please install by hand."
root=()
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "$lacking; installing takes root, and there is no sudo."
	sudo -n true 2>/dev/null || [ -t 0 ] || fail "$lacking; sudo asks for a password, and there is no terminal to ask on."
	root=(sudo)
fi

echo "setup: installing ${packages[*]}"
# Without this Debian's package makes and starts a cluster of its own.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
	"${root[@]}" mkdir -p /etc/postgresql-common
	echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
# Without this the packages of Redis and RabbitMQ start servers of their own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
	"${root[@]}" chmod +x /usr/sbin/policy-rc.d
	trap '"${root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold)
"${apt[@]}" update || echo "setup: apt-get update failed; going on with the package lists there are" >&2
"${apt[@]}" install --no-install-recommends "${packages[@]}" || fail "$lacking; apt-get install failed (see above)."
postgres >/dev/null || fail "postgresql is installed, but its initdb is not where Debian puts it."
polyglot
echo "setup: installed; Postgres is in $(postgres)"
