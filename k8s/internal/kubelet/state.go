package kubelet

import "time"

// state is what a pod's status says.
type state struct {
	initialized, started, ready bool
	removed                     bool // its container will not run again
	restarts                    int
	container                   object // of its container: waiting, running or terminated
	phase                       string
	begun                       string
	since                       map[string]condition
}

type condition struct{ status, since string }

// answer is what the probes say of a container.
type answer struct {
	started, ready bool
	why            error
}

func newState() state {
	return state{
		phase: "Pending", begun: now(), since: map[string]condition{},
		container: object{"waiting": object{"reason": "PodInitializing"}},
	}
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

// hear returns whether something has changed.
func (s *state) hear(a answer) bool {
	changed := s.started != a.started || s.ready != a.ready
	s.started, s.ready = a.started, a.ready
	return changed
}

func (s *state) running() {
	s.phase = "Running"
	s.started, s.ready = false, false
	s.container = object{"running": object{"startedAt": now()}}
}

func (s *state) waiting(reason string, err error) {
	s.started, s.ready = false, false
	s.container = object{"waiting": object{"reason": reason, "message": err.Error()}}
}

func (s *state) ended(code int) {
	s.started, s.ready = false, false
	s.container = object{"terminated": object{"exitCode": code, "finishedAt": now()}}
}

// status is the state in the words of the API.
func (s *state) status(p pod, ip string) object {
	phase := s.phase
	if t, ok := s.container["terminated"].(object); ok && s.removed {
		if phase = "Succeeded"; t["exitCode"] != 0 {
			phase = "Failed"
		}
	}
	containers := []object{}
	for _, c := range p.Spec.Containers {
		containers = append(containers, object{
			"name": c.Name, "image": c.Image, "imageID": c.Image, "ready": s.ready, "started": s.started, "restartCount": s.restarts, "state": s.container,
		})
	}
	status := object{
		"phase": phase, "startTime": s.begun, "hostIP": "127.0.0.1",
		"containerStatuses": containers,
		"conditions": []object{
			s.condition("Initialized", s.initialized), s.condition("ContainersReady", s.ready), s.condition("Ready", s.ready),
		},
	}
	if ip != "" {
		status["podIP"], status["podIPs"] = ip, []object{{"ip": ip}}
	}
	return status
}

// condition keeps the time of the last change.
func (s *state) condition(kind string, holds bool) object {
	c := condition{status: "False", since: now()}
	if holds {
		c.status = "True"
	}
	if last, ok := s.since[kind]; ok && last.status == c.status {
		c = last
	}
	s.since[kind] = c
	return object{"type": kind, "status": c.status, "lastTransitionTime": c.since}
}
