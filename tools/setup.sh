#!/usr/bin/env bash
# Makes sure that what the tests need is there: the Postgres server's programs, a C compiler (the race detector links
# with it) and make. On Debian it installs what is missing; it starts nothing: the tests run throw-away clusters of
# their own.
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

fail() {
	echo "setup: $*" >&2
	echo "setup: the tests need initdb and postgres (PostgreSQL 14 or newer, in /usr/lib/postgresql/*/bin or on PATH), a C compiler and make." >&2
	exit 1
}

packages=()
postgres >/dev/null || packages+=(postgresql)
compiler >/dev/null || packages+=(gcc libc6-dev)
command -v make >/dev/null || packages+=(make)
if [ "${#packages[@]}" -eq 0 ]; then
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
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Options::=--force-confold)
"${apt[@]}" update || echo "setup: apt-get update failed; going on with the package lists there are" >&2
"${apt[@]}" install --no-install-recommends "${packages[@]}" || fail "$lacking; apt-get install failed (see above)."
postgres >/dev/null || fail "postgresql is installed, but its initdb is not where Debian puts it."
echo "setup: installed; Postgres is in $(postgres)"
