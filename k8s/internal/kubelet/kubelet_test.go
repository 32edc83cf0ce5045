package kubelet

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sagaz/sagaz/internal/rig"
)

// helperEnv makes this test's program what runs in the pods: a server that is ready, and ends as its arguments say.
const helperEnv = "SAGAZ_TEST_POD"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		serve(os.Args[1:])
		return
	}
	goleak.VerifyTestMain(m)
}

// serve listens on --listen=ADDRESS. With "stubborn" it does not hear SIGTERM, with "brief" it ends by itself when it was asked once.
func serve(args []string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	address, _ := strings.CutPrefix(args[0], "--listen=")
	done := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {
		if args[1] == "brief" {
			os.Exit(7)
		}
	})
	go func() {
		for range told {
			if args[1] != "stubborn" {
				close(done)
				return
			}
		}
	}()
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	go func() { _ = http.Serve(l, mux) }() //nolint:gosec // a helper of a test
	<-done
}

func start(t *testing.T) (*Kubelet, *server) {
	t.Helper()
	s := newServer(t)
	program, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	client := &http.Client{Transport: &http.Transport{}}
	k := Start(Config{
		API: API{URL: s.URL, Client: client}, Namespace: "n", Nodes: []string{"machine"}, Images: map[string]string{"helper": program},
		Addresses: netip.MustParsePrefix("127.77.0.0/16"), Dir: dir, Logf: t.Logf,
	})
	t.Cleanup(func() {
		k.Stop()
		client.CloseIdleConnections()
	})
	return k, s
}

// podOf is a pod of the helper.
func podOf(t *testing.T, name, manner string, change func(spec, container object)) object {
	t.Helper()
	port, err := rig.FreePort()
	require.NoError(t, err)
	container := object{
		"name": "helper", "image": "helper", "args": []string{fmt.Sprintf("--listen=:%d", port), manner},
		"envFrom":        []object{{"configMapRef": object{"name": "settings"}}},
		"ports":          []object{{"name": "http", "containerPort": port}},
		"readinessProbe": object{"httpGet": object{"path": "/ready", "port": "http"}, "periodSeconds": 1},
	}
	spec := object{
		"nodeName": "machine", "containers": []object{container}, "terminationGracePeriodSeconds": 30,
		"securityContext": object{"runAsUser": os.Getuid(), "runAsGroup": os.Getgid()}, // the test's program may lie where nobody else may look
	}
	if change != nil {
		change(spec, container)
	}
	return object{"metadata": object{"name": name, "namespace": "n", "uid": "uid of " + name}, "spec": spec}
}

func (s *server) tell(kind string, pod object) { s.events <- object{"type": kind, "object": pod} }

// takeAway deletes a pod as the API server does: it tells the kubelet how long the pod may take.
func (s *server) takeAway(t *testing.T, pod object, graceSeconds int) {
	t.Helper()
	metadata := pod["metadata"].(object)
	metadata["deletionTimestamp"], metadata["deletionGracePeriodSeconds"] = time.Now().UTC().Format(time.RFC3339), graceSeconds
	s.tell("MODIFIED", pod)
	require.Equal(t, metadata["uid"], <-s.removed)
}

func TestAPodRunsUntilItIsDeleted(t *testing.T) {
	k, s := start(t)
	pod := podOf(t, "a", "good", nil)
	s.tell("ADDED", pod)
	said := s.until(report.ready)
	require.Equal(t, "Running", said.Status.Phase)
	require.True(t, netip.MustParsePrefix("127.77.0.0/16").Contains(netip.MustParseAddr(said.Status.PodIP)))
	s.takeAway(t, pod, 30)
	ends := k.Ends()
	require.Len(t, ends, 1)
	require.True(t, ends[0].Asked)
	require.False(t, ends[0].Killed)
	require.Zero(t, ends[0].Code)
}

func TestAPodThatDoesNotHearIsKilledWhenItsGraceIsOver(t *testing.T) {
	k, s := start(t)
	pod := podOf(t, "a", "stubborn", nil)
	s.tell("ADDED", pod)
	s.until(report.ready)
	s.takeAway(t, pod, 1)
	ends := k.Ends()
	require.Len(t, ends, 1)
	require.True(t, ends[0].Asked)
	require.True(t, ends[0].Killed)
	require.Equal(t, -1, ends[0].Code)
}

func TestAContainerThatEndsIsStartedAgain(t *testing.T) {
	k, s := start(t)
	s.tell("ADDED", podOf(t, "a", "brief", nil))
	s.until(func(r report) bool { return r.waitsFor("CrashLoopBackOff", "exit status 7") })
	again := s.until(func(r report) bool { return r.Status.ContainerStatuses[0].State.Waiting.Reason == "" })
	require.Equal(t, 1, again.Status.ContainerStatuses[0].RestartCount)
	ends := k.Ends()
	require.False(t, ends[0].Asked)
	require.Equal(t, 7, ends[0].Code)
}

func TestWhatCannotBePlayedIsNotRun(t *testing.T) {
	for _, c := range []struct {
		words  string
		change func(spec, container object)
	}{
		{"one container", func(spec, c object) { spec["containers"] = []object{c, c} }},
		{"no image", func(_, c object) { c["image"] = "other" }},
		{"has a command", func(_, c object) { c["command"] = []string{"sh"} }},
		{"the sleep alone", func(_, c object) { c["lifecycle"] = object{"preStop": object{"exec": object{}}} }},
		{"httpGet alone", func(_, c object) { c["livenessProbe"] = object{"tcpSocket": object{}} }},
		{"is not known", func(_, c object) {
			c["env"] = []object{{"name": "X", "valueFrom": object{"resourceFieldRef": object{}}}}
		}},
	} {
		t.Run(c.words, func(t *testing.T) {
			k, s := start(t)
			s.tell("ADDED", podOf(t, "a", "good", c.change))
			s.until(func(r report) bool {
				return r.waitsFor("CreateContainerError", c.words) || r.waitsFor("CrashLoopBackOff", c.words)
			})
			require.Empty(t, k.Ends())
		})
	}
}
