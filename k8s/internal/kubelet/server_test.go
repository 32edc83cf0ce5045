package kubelet

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// server is an API server that knows pods alone, and tells what a kubelet says of them.
type server struct {
	*httptest.Server
	events  chan object // what a watch is told
	reports chan report
	removed chan string // the UID
}

// report is a status of a pod.
type report struct {
	pod    string
	Status struct {
		Phase             string
		PodIP             string
		Conditions        []struct{ Type, Status string }
		ContainerStatuses []struct {
			RestartCount int
			State        struct {
				Waiting struct{ Reason, Message string }
			}
		}
	}
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{events: make(chan object), reports: make(chan report, 1000), removed: make(chan string, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/namespaces/n/pods", s.watch)
	mux.HandleFunc("PATCH /api/v1/namespaces/n/pods/{pod}/status", func(_ http.ResponseWriter, r *http.Request) {
		said := report{pod: r.PathValue("pod")}
		if err := json.NewDecoder(r.Body).Decode(&said); err != nil {
			t.Error(err)
		}
		s.reports <- said
	})
	mux.HandleFunc("DELETE /api/v1/namespaces/n/pods/{pod}", func(_ http.ResponseWriter, r *http.Request) {
		var o struct{ Preconditions struct{ UID string } }
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			t.Error(err)
		}
		s.removed <- o.Preconditions.UID
	})
	mux.HandleFunc("PATCH /api/v1/nodes/machine/status", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/v1/namespaces/n/configmaps/settings", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(object{"data": object{helperEnv: "yes"}})
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	for {
		select {
		case e := <-s.events:
			_ = json.NewEncoder(w).Encode(e)
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// until returns the first report that is as wanted.
func (s *server) until(wanted func(report) bool) report {
	for {
		if said := <-s.reports; wanted(said) {
			return said
		}
	}
}

func (r report) ready() bool {
	for _, c := range r.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// waitsFor says whether the container waits for that reason, with those words.
func (r report) waitsFor(reason, words string) bool {
	for _, c := range r.Status.ContainerStatuses {
		if w := c.State.Waiting; w.Reason == reason && strings.Contains(w.Message, words) {
			return true
		}
	}
	return false
}
