#!/usr/bin/env bash
# Checks of k8s/ that need no cluster: schemas, scores, overlays, alerts and their tests. Same as `make k8s-check`.
# The tools are pinned in tools/kube and tools/prom, and are built by Go on first use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kube() { go tool -modfile=tools/kube/go.mod "$@"; }
# Without the tag promtool drags in the service discovery of every cloud; the tests of rules need none.
promtool() { GOFLAGS="${GOFLAGS:-} -tags=remove_all_sd" go tool -modfile=tools/prom/go.mod promtool "$@"; }
conform() { kube kubeconform -strict -schema-location 'k8s/schemas/{{.ResourceKind}}.json' "$@"; }
say() { printf '%s\n' "-- $*"; }
fail() { echo "k8s-check: $*" >&2; exit 1; }

objects=(k8s/*.yaml k8s/*/nats.yaml k8s/monitoring/*.yaml k8s/autoscaling/*/*.yaml)

say "schemas"
conform -summary "${objects[@]}"
# The check itself: a field that does not exist must be an error.
sed 's/terminationGracePeriodSeconds/terminationGraceSeconds/' k8s/40-node.yaml | conform - >/dev/null && fail "a misspelt field passes the schemas"

say "scores (exceptions stand in the manifests, with their reasons)"
kube kube-score score --output-format ci "${objects[@]}" | grep -v '^\[OK\]\|^\[SKIPPED\]' && fail "kube-score has findings (see above)"

say "kustomize"
# Against the files, object by object: an overlay starts from the same base as a plain apply.
built=$(mktemp)
trap 'rm -f "$built"' EXIT
kube kustomize build k8s >"$built"
conform -summary - <"$built"
[ "$(grep -c '^kind:' "$built")" = "$(cat k8s/*.yaml | grep -c '^kind:')" ] || fail "k8s/Kustomization lists other objects than lie in k8s/"

say "alerts"
promtool check rules k8s/prometheus/alerts.yaml
promtool test rules k8s/prometheus/tests/*.yaml k8s/prometheus/tests/recorded/*.yaml
