//go:build controlplane

package servertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
)

// patience is how long anything of the control plane may take. The machine may be busy with something else.
const patience = 4 * time.Minute

// controlPlane is etcd, the API server, the controllers and the scheduler as processes of this machine.
type controlPlane struct {
	bin, dir, server string
	client           *http.Client // to the API server
}

func startControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	bin := os.Getenv("SAGAZ_CONTROLPLANE")
	require.NotEmpty(t, bin, "run this by `make k8s-server-test`")
	c := &controlPlane{bin: bin, dir: t.TempDir(), client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // its certificate is as old as this test
	}}}
	t.Cleanup(c.client.CloseIdleConnections)
	key := c.serviceAccountKey(t)
	client, peer, secure := freePort(t), freePort(t), freePort(t)
	c.server = fmt.Sprintf("https://127.0.0.1:%d", secure)
	c.write(t, "tokens", token+",admin,admin,system:masters\n")
	c.write(t, "kubeconfig", fmt.Sprintf(kubeconfig, c.server, token))

	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	clientURL := fmt.Sprintf("http://127.0.0.1:%d", client)
	c.start(t, "etcd", "--data-dir", c.path("etcd"), "--unsafe-no-fsync", "--listen-client-urls", clientURL, "--advertise-client-urls", clientURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default="+peerURL)
	c.start(t, "kube-apiserver", "--etcd-servers", clientURL, "--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(secure),
		"--advertise-address", "127.0.0.1", // otherwise it asks for a default route, which a network namespace may lack
		"--cert-dir", c.path("certs"), "--token-auth-file", c.path("tokens"), "--authorization-mode", "Node,RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-signing-key-file", key, "--service-account-key-file", key,
		"--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none")
	c.awaitReady(t)
	c.start(t, "kube-controller-manager", "--kubeconfig", c.path("kubeconfig"), "--leader-elect=false", "--secure-port", "0",
		"--service-account-private-key-file", key, "--horizontal-pod-autoscaler-sync-period", "2s",
		"--horizontal-pod-autoscaler-cpu-initialization-period", "1s", "--horizontal-pod-autoscaler-initial-readiness-delay", "1s")
	c.start(t, "kube-scheduler", "--kubeconfig", c.path("kubeconfig"), "--leader-elect=false", "--secure-port", "0")
	return c
}

// playPods starts kwok, which plays the nodes: it says that pods run without running them.
func (c *controlPlane) playPods(t *testing.T) {
	t.Helper()
	stages := filepath.Join(moduleDir(t, kwok), "kustomize", "stage")
	c.start(t, "kwok", "--kubeconfig", c.path("kubeconfig"), "--manage-all-nodes", "--node-lease-duration-seconds", "40",
		"--config", filepath.Join(stages, "node", "fast", "node-initialize.yaml"), "--config", filepath.Join(stages, "node", "heartbeat-with-lease", "node-heartbeat-with-lease.yaml"),
		"--config", filepath.Join(stages, "pod", "fast", "pod-ready.yaml"), "--config", filepath.Join(stages, "pod", "fast", "pod-complete.yaml"),
		"--config", filepath.Join(stages, "pod", "fast", "pod-delete.yaml"))
}

const token = "a-token-for-this-test-alone"

const kubeconfig = `apiVersion: v1
kind: Config
clusters:
  - name: test
    cluster: {server: "%s", insecure-skip-tls-verify: true}
users:
  - name: admin
    user: {token: %s}
contexts:
  - name: test
    context: {cluster: test, user: admin}
current-context: test
`

// kwok is the version that tools/kwok pins; its module has the stages that pods go through.
const kwok = "sigs.k8s.io/kwok@v0.8.0"

// moduleDir brings a module and returns the folder that it lies in.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	require.NoError(t, err)
	var at struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &at))
	return at.Dir
}

func (c *controlPlane) path(name string) string { return filepath.Join(c.dir, name) }

func (c *controlPlane) write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(c.path(name), []byte(text), 0o600))
}

func (c *controlPlane) serviceAccountKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	c.write(t, "service-account.key", string(pem.EncodeToMemory(block)))
	return c.path("service-account.key")
}

// start runs a binary until the test ends. Its log is shown when the test has failed.
func (c *controlPlane) start(t *testing.T, name string, args ...string) {
	t.Helper()
	log, err := os.Create(c.path(name + ".log"))
	require.NoError(t, err)
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.dir
	// If this test is killed, so is what it started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if t.Failed() {
			t.Logf("%s: %s", name, tail(c.path(name+".log")))
		}
	})
}

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(string(text), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

func (c *controlPlane) awaitReady(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, _, err := c.ask(http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	}, patience, 200*time.Millisecond, "the API server does not get ready")
}

// ask makes a request to the API server, with a body in JSON if there is one.
func (c *controlPlane) ask(method, path string, body any) (status int, answer []byte, err error) {
	in, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	r, err := http.NewRequest(method, c.server+path, bytes.NewReader(in))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// get reads an object, as far as it fits.
func (c *controlPlane) get(path string, into any) error {
	status, answer, err := c.ask(http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", path, status, answer)
	}
	return json.Unmarshal(answer, into)
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := rig.FreePort()
	require.NoError(t, err)
	return port
}

// try runs kubectl from the root of the repository.
func (c *controlPlane) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "kubectl"), append([]string{"--kubeconfig", c.path("kubeconfig")}, args...)...)
	cmd.Dir = "../.."
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *controlPlane) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(t, "", args...)
	require.NoError(t, err, "kubectl %s: %s", strings.Join(args, " "), out)
	return out
}

// apply feeds manifests that are no files.
func (c *controlPlane) apply(t *testing.T, manifests string) {
	t.Helper()
	out, err := c.try(t, manifests, "apply", "-f", "-")
	require.NoError(t, err, out)
}

// eventually asks for a field until it has a value.
func (c *controlPlane) eventually(t *testing.T, want string, args ...string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		out, err := c.try(t, "", args...)
		if err == nil && out == want {
			return
		}
		got = out
	}
	t.Fatalf("kubectl %s: not %q but %q", strings.Join(args, " "), want, got)
}
