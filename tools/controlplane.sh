#!/usr/bin/env bash
# Builds a Kubernetes control plane from Go modules, pinned in tools/{controlplane,etcd,kwok}, into a cache outside of the repository, and prints the
# folder with the binaries. The first time it takes minutes and 3 GB of memory; after that it is a look at the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

version=$(sed -n 's|^require k8s.io/kubernetes \(v[^ ]*\).*|\1|p' controlplane/go.mod)
pins=$(cat {controlplane,etcd,kwok}/go.mod | sha256sum | cut -c1-12)
bin=${XDG_CACHE_HOME:-$HOME/.cache}/sagaz/controlplane/$version-$pins
mkdir -p "$bin"

build() { # MODULE PACKAGE NAME [LDFLAGS]
	[ -x "$bin/$3" ] && return
	echo "controlplane: building $3" >&2
	(cd "$1" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w ${4:-}" -o "$bin/$3.new" "$2")
	mv "$bin/$3.new" "$bin/$3"
}

build etcd go.etcd.io/etcd/server/v3 etcd
build kwok sigs.k8s.io/kwok/cmd/kwok kwok
# Without a version the API server takes itself for v0.0.0 and refuses what is newer.
stamp="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")"
for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
	build controlplane "k8s.io/kubernetes/cmd/$name" "$name" "$stamp"
done
echo "$bin"
