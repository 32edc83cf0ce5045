//go:build controlplane

package servertest

import (
	"context"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/rig"
)

// Sagas run all the time, in pods that are real processes, while those are replaced and drained. Every saga must end, once, and
// the books must balance. What a node on its way out refuses is asked again with the same id.
func TestSagasGoOnWhilePodsComeAndGo(t *testing.T) {
	program, alone := inNetworkOfItsOwn(t)
	if !alone {
		return
	}
	w := newWorld(t, program)
	u := newCustomer(t, w.controlPlane)
	require.Eventually(t, u.isBusy, patience, lookAgain, "sagas run")
	ok := t.Run("a roll-out replaces all nodes", func(t *testing.T) { w.rollOut(t, u) }) &&
		t.Run("a machine is drained", func(t *testing.T) { w.drain(t, u) }) &&
		t.Run("the autoscaler goes from three to ten and back", func(t *testing.T) { w.scale(t, u) })
	require.True(t, ok)
	u.finish(t, w.store)
}

func (w *world) rollOut(t *testing.T, u *customer) {
	before, since := w.nodes(t), len(w.kubelet.Ends())
	least := w.least(t)
	w.kubectl(t, "-n", "sagaz", "set", "image", "deployment/sagaz", "sagaz="+imageName+":v2", "migrate="+imageName+":v2")
	w.kubectl(t, "-n", "sagaz", "rollout", "status", "deployment/sagaz", "--timeout", patience.String())
	w.settle(t)
	for name, pod := range w.nodes(t) {
		require.NotContains(t, before, name)
		require.Equal(t, imageName+":v2", pod.image)
	}
	require.Equal(t, int64(3), least(), "three were available all the time")
	w.judge(t, u, since, 3)
}

func (w *world) drain(t *testing.T, u *customer) {
	before, since := w.nodes(t), len(w.kubelet.Ends())
	machines := map[string][]string{}
	for name, pod := range before {
		machines[pod.machine] = append(machines[pod.machine], name)
	}
	var machine, leaving, staying string
	for m, names := range machines {
		if machine == "" || len(names) < len(machines[machine]) {
			machine, leaving = m, names[0]
		}
	}
	for name := range before {
		if name != leaving {
			staying = name
		}
	}
	least := w.least(t)
	w.kubectl(t, "cordon", machine)
	w.eventually(t, "1", "-n", "sagaz", "get", "pdb", "sagaz", "-o", "jsonpath={.status.disruptionsAllowed}")
	require.Equal(t, http.StatusCreated, w.evict(t, leaving))
	require.Equal(t, http.StatusTooManyRequests, w.evict(t, staying), "the budget lets one leave at a time")
	w.kubectl(t, "drain", machine, "--timeout", patience.String())
	w.settle(t)
	for _, pod := range w.nodes(t) {
		require.NotEqual(t, machine, pod.machine)
	}
	require.GreaterOrEqual(t, least(), int64(2), "two were available all the time")
	w.kubectl(t, "uncordon", machine)
	w.judge(t, u, since, len(machines[machine]))
}

// scale has the autoscaler add seven nodes and take them away. What they are said to use is made up: there are not cores enough here for ten.
func (w *world) scale(t *testing.T, u *customer) {
	since := len(w.kubelet.Ends())
	least := w.least(t)
	scales(t, w.controlPlane)
	w.settle(t)
	require.Equal(t, int64(3), least(), "three were available all the time")
	w.judge(t, u, since, 7)
}

// evict returns the status of the answer.
func (w *world) evict(t *testing.T, pod string) int {
	t.Helper()
	status, _, err := w.ask(http.MethodPost, "/api/v1/namespaces/sagaz/pods/"+pod+"/eviction",
		object{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": object{"name": pod, "namespace": "sagaz"}})
	require.NoError(t, err)
	return status
}

// settle waits until there are three nodes, all available, and none that leaves.
func (w *world) settle(t *testing.T) {
	t.Helper()
	w.eventually(t, "3", "-n", "sagaz", "get", "deployment", "sagaz", "-o", "jsonpath={.status.availableReplicas}")
	require.Eventually(t, func() bool { return len(w.nodes(t)) == 3 }, patience, lookAgain)
}

// judge looks at how the pods of nodes ended meanwhile, and at what the customer has seen since the last time.
func (w *world) judge(t *testing.T, u *customer, since, replaced int) {
	t.Helper()
	seen := u.tally()
	var slowest time.Duration
	ended := 0
	for _, e := range w.kubelet.Ends()[since:] {
		require.True(t, e.Asked, "%s ended by itself with status %d: %s", e.Pod, e.Code, e.Message)
		require.False(t, e.Killed, "%s did not drain within its grace period", e.Pod)
		require.Zero(t, e.Code, "%s: %s", e.Pod, e.Message)
		if strings.HasPrefix(e.Pod, "sagaz-") {
			ended++
			slowest = max(slowest, e.Took)
		}
	}
	t.Logf("%d nodes left, the slowest %v after its SIGTERM; %v", ended, slowest.Round(time.Millisecond), seen)
	require.Equal(t, replaced, ended)
	require.NotZero(t, seen.started)
	seen.check(t)
}

// least counts the nodes that are available from now on. What it returns stops that, and returns their smallest number.
func (w *world) least(t *testing.T) func() int64 {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var counting sync.WaitGroup
	smallest := int64(math.MaxInt64)
	counting.Go(func() {
		for again := true; again; again = rig.Pause(ctx, lookAgain) {
			var d struct {
				Status struct{ AvailableReplicas int64 }
			}
			if err := w.get("/apis/apps/v1/namespaces/sagaz/deployments/sagaz", &d); err == nil {
				smallest = min(smallest, d.Status.AvailableReplicas)
			}
		}
	})
	stop := func() int64 {
		cancel()
		counting.Wait()
		return smallest
	}
	t.Cleanup(func() { stop() })
	return stop
}
