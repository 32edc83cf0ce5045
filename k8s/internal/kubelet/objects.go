package kubelet

import (
	"fmt"
	"time"
)

// pod is a Pod, as far as this package looks into it.
type pod struct {
	Metadata struct {
		Name, Namespace, UID       string
		DeletionTimestamp          *time.Time
		DeletionGracePeriodSeconds *int
	}
	Spec   podSpec
	Status struct{ Phase string }
}

type podSpec struct {
	NodeName                      string
	SecurityContext               struct{ RunAsUser, RunAsGroup, FSGroup *int }
	InitContainers, Containers    []container
	Volumes                       []volume
	TerminationGracePeriodSeconds int
}

type container struct {
	Name, Image   string
	Command, Args []string
	Env           []variable
	EnvFrom       []struct{ ConfigMapRef *struct{ Name string } }
	Ports         []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, LivenessProbe, ReadinessProbe *probe
	Lifecycle                                   struct {
		PreStop *struct{ Sleep *struct{ Seconds int } }
	}
	VolumeMounts []struct{ Name, MountPath string }
}

// check says what this package would not play.
func (c container) check() error {
	if len(c.Command) > 0 {
		return fmt.Errorf("container %s has a command: what the image begins with is run", c.Name)
	}
	if hook := c.Lifecycle.PreStop; hook != nil && hook.Sleep == nil {
		return fmt.Errorf("container %s: of preStop the sleep alone is known", c.Name)
	}
	for _, p := range []*probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p != nil && p.HTTPGet == nil {
			return fmt.Errorf("container %s: of probes httpGet alone is known", c.Name)
		}
	}
	return nil
}

type variable struct {
	Name, Value string
	ValueFrom   *struct {
		FieldRef     *struct{ FieldPath string }
		SecretKeyRef *struct{ Name, Key string }
	}
}

type probe struct {
	HTTPGet *struct {
		Path string
		Port any // the name of a port of the container, or a number
	}
	PeriodSeconds, TimeoutSeconds, FailureThreshold, InitialDelaySeconds int
}

type volume struct {
	Name   string
	Secret *struct {
		SecretName  string
		DefaultMode *int
		Items       []struct{ Key, Path string }
	}
}

// object is JSON that is sent.
type object = map[string]any
