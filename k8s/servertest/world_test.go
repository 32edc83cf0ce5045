//go:build controlplane

package servertest

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/k8s/internal/kubelet"
)

// world is a control plane, machines whose pods are real processes, and a Postgres beside them.
type world struct {
	*controlPlane
	kubelet *kubelet.Kubelet
	store   string
}

const imageName = "registry.example.com/sagaz"

// overlay is what docs/kubernetes.md tells a reader to write: a name for the image, and no Postgres and no Secret, which others look after.
const overlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - %s
images:
  - name: ghcr.io/sagaz/sagaz
    newName: ` + imageName + `
    newTag: v1
patches:
  - patch: |
      $patch: delete
      apiVersion: apps/v1
      kind: StatefulSet
      metadata: {name: postgres, namespace: sagaz}
  - patch: |
      $patch: delete
      apiVersion: v1
      kind: Service
      metadata: {name: postgres, namespace: sagaz}
  - patch: |
      $patch: delete
      apiVersion: v1
      kind: Secret
      metadata: {name: sagaz, namespace: sagaz}
`

// secret is what a secret manager would make.
const secret = `apiVersion: v1
kind: Secret
metadata: {name: sagaz, namespace: sagaz}
stringData:
  store: %s
  api-tokens: |
    customer operator ` + apiToken + `
`

func newWorld(t *testing.T, program string) *world {
	t.Helper()
	w := &world{}
	w.startPostgres(t)
	w.controlPlane = startControlPlane(t)
	w.apply(t, machines())

	dir := t.TempDir()
	openToAll(t, dir)
	w.kubelet = kubelet.Start(kubelet.Config{
		API: kubelet.API{URL: w.server, Token: token, Client: w.client}, Namespace: "sagaz", Nodes: []string{"machine-1", "machine-2", "machine-3"},
		Images: map[string]string{imageName + ":v1": program, imageName + ":v2": program}, Addresses: netip.MustParsePrefix(podNetwork),
		Dir: dir, Logf: t.Logf,
	})
	t.Cleanup(w.kubelet.Stop)

	base, err := filepath.Abs("..")
	require.NoError(t, err)
	base, err = filepath.Rel(w.dir, base)
	require.NoError(t, err)
	w.write(t, "kustomization.yaml", fmt.Sprintf(overlay, base))
	w.kubectl(t, "apply", "-f", "k8s/00-namespace.yaml")
	w.apply(t, fmt.Sprintf(secret, w.store))
	w.kubectl(t, "apply", "--warnings-as-errors", "-k", w.dir)
	w.kubectl(t, "-n", "sagaz", "rollout", "status", "deployment/sagaz", "--timeout", patience.String())
	w.kubectl(t, "-n", "sagaz", "rollout", "status", "deployment/participant-example", "--timeout", patience.String())
	w.eventually(t, "3", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.availableReplicas}")
	return w
}

func (w *world) startPostgres(t *testing.T) {
	t.Helper()
	// As many connections as 30-postgres.yaml has.
	server, err := testpg.StartWith(t.Context(), t.TempDir(), testpg.Options{Settings: []string{"max_connections=300"}})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	w.store = server.DSN()
}

// node is the pod of a node.
type node struct {
	machine, image string
	leaving        bool
}

// nodes returns the pods of the nodes by their names.
func (w *world) nodes(t *testing.T) map[string]node {
	t.Helper()
	var pods struct {
		Items []struct {
			Metadata struct {
				Name              string
				DeletionTimestamp *time.Time
			}
			Spec struct {
				NodeName   string
				Containers []struct{ Image string }
			}
		}
	}
	require.NoError(t, w.get("/api/v1/namespaces/sagaz/pods?labelSelector=app.kubernetes.io/component%3Dnode", &pods))
	nodes := map[string]node{}
	for _, p := range pods.Items {
		nodes[p.Metadata.Name] = node{machine: p.Spec.NodeName, image: p.Spec.Containers[0].Image, leaving: p.Metadata.DeletionTimestamp != nil}
	}
	return nodes
}
