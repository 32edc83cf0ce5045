package kubelet

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sagaz/sagaz/internal/rig"
)

const (
	heartbeatEvery = 5 * time.Second
	tryAgainAfter  = 500 * time.Millisecond
)

// Config says what a Kubelet runs, and where.
type Config struct {
	API       API
	Namespace string            // whose pods
	Nodes     []string          // the names of its nodes; the objects exist
	Images    map[string]string // the program of each image
	Addresses netip.Prefix      // of its pods; every address there is one of this machine
	Dir       string            // a folder for logs and volumes, which the pods' users can enter
	Logf      func(format string, args ...any)
}

// Kubelet runs the pods of some nodes.
type Kubelet struct {
	cfg    Config
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu   sync.Mutex
	pods map[string]*worker // by the pod's UID
	ends []End
	last netip.Addr // the address given last
}

// End says how a container ended.
type End struct {
	Pod     string
	Code    int           // -1: by a signal
	Asked   bool          // it was told to, because the pod was deleted
	Killed  bool          // it did not end within the grace period
	Took    time.Duration // from SIGTERM to the end
	Message string        // the last lines of its log, if it ended in another way than it should
}

// Start begins to run pods, until Stop.
func Start(cfg Config) *Kubelet {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Kubelet{cfg: cfg, cancel: cancel, pods: map[string]*worker{}, last: cfg.Addresses.Addr()}
	for _, node := range cfg.Nodes {
		k.work.Go(func() { k.repeat(ctx, heartbeatEvery, func() error { return k.heartbeat(ctx, node) }) })
	}
	k.work.Go(func() {
		k.repeat(ctx, tryAgainAfter, func() error {
			return cfg.API.watch(ctx, cfg.Namespace, func(kind string, p pod) { k.see(ctx, kind, p) })
		})
	})
	return k
}

// Stop kills all processes and waits for them. The pods stay in the API server.
func (k *Kubelet) Stop() {
	k.cancel()
	k.work.Wait()
}

// Ends returns how containers ended, oldest first; those of Stop are not among them.
func (k *Kubelet) Ends() []End {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.ends)
}

func (k *Kubelet) repeat(ctx context.Context, every time.Duration, do func() error) {
	for {
		if err := do(); err != nil && ctx.Err() == nil {
			k.cfg.Logf("kubelet: %v", err)
		}
		if !rig.Pause(ctx, every) {
			return
		}
	}
}

// heartbeat says that a node is well.
func (k *Kubelet) heartbeat(ctx context.Context, node string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	var conditions []object
	for kind, status := range map[string]string{"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"} {
		conditions = append(conditions, object{"type": kind, "status": status, "reason": "Processes", "lastHeartbeatTime": now})
	}
	return k.cfg.API.patchStatus(ctx, "/api/v1/nodes/"+node, object{
		"conditions": conditions, "addresses": []object{{"type": "InternalIP", "address": "127.0.0.1"}},
	})
}

// see hears of a pod: a new one is run, and one that is being deleted is ended.
func (k *Kubelet) see(ctx context.Context, kind string, p pod) {
	if !slices.Contains(k.cfg.Nodes, p.Spec.NodeName) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	w := k.pods[p.Metadata.UID]
	if w == nil {
		if kind == "DELETED" || p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			return
		}
		w = newWorker(k, p)
		k.pods[p.Metadata.UID] = w
		k.work.Go(func() {
			w.run(ctx)
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.pods, p.Metadata.UID)
		})
	}
	switch {
	case kind == "DELETED":
		w.end(0)
	case p.Metadata.DeletionTimestamp != nil && p.Metadata.DeletionGracePeriodSeconds != nil:
		w.end(time.Duration(*p.Metadata.DeletionGracePeriodSeconds) * time.Second)
	}
}

func (k *Kubelet) ended(e End) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ends = append(k.ends, e)
}

// address returns the next address where nobody listens on a container's ports. None is given twice while others are left.
func (k *Kubelet) address(c container) (string, error) {
	for range 1 << 16 {
		k.mu.Lock()
		if k.last = k.last.Next(); !k.cfg.Addresses.Contains(k.last) {
			k.last = k.cfg.Addresses.Addr().Next()
		}
		ip := k.last.String()
		k.mu.Unlock()
		if free(ip, c) {
			return ip, nil
		}
	}
	return "", fmt.Errorf("no address of %s has the ports of container %s free", k.cfg.Addresses, c.Name)
}

func free(ip string, c container) bool {
	for _, port := range c.Ports {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port.ContainerPort))) //nolint:noctx // listening takes no time
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
