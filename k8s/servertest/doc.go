// Package servertest applies the manifests to a real Kubernetes control plane. Its tests run by `make k8s-server-test` alone: the control plane has
// to be built first.
package servertest
