package actors

import (
	"fmt"
	"sort"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/sagaz/sagaz/internal/machine"
	"github.com/sagaz/sagaz/internal/plan"
	"github.com/sagaz/sagaz/persistence"
)

// Definition is a plan with the code that builds its commands.
type Definition struct {
	Plan    *plan.Plan
	Builder machine.Builder // nil: known from data alone
}

// Registry finds definitions by fingerprint: the registered ones with their code, stored ones as data. It is safe for concurrent use.
type Registry struct {
	mu            sync.RWMutex
	byFingerprint map[string]Definition
}

// NewRegistry makes a registry of this build's definitions. Two shapes under one name and version are refused.
func NewRegistry(defs []Definition) (*Registry, error) {
	r := &Registry{byFingerprint: make(map[string]Definition, len(defs))}
	names := map[string]string{}
	for _, d := range defs {
		key := fmt.Sprintf("%s v%d", d.Plan.Name, d.Plan.Version)
		fp := string(d.Plan.Fingerprint())
		if other, ok := names[key]; ok && other != fp {
			return nil, fmt.Errorf("two definitions of different shape are both called %s: give one another Version", key)
		}
		names[key] = fp
		r.byFingerprint[fp] = d
	}
	return r, nil
}

// AddStored adds plans known from the store. Registered code is never replaced.
func (r *Registry) AddStored(defs []persistence.Definition) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range defs {
		if _, ok := r.byFingerprint[string(d.Fingerprint)]; ok {
			continue
		}
		p, err := plan.Decode(d.Plan)
		if err != nil {
			return fmt.Errorf("stored definition %s v%d: %w", d.Name, d.Version, err)
		}
		r.byFingerprint[string(d.Fingerprint)] = Definition{Plan: p}
	}
	return nil
}

// Find returns the definition of a fingerprint.
func (r *Registry) Find(fingerprint []byte) (Definition, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	d, ok := r.byFingerprint[string(fingerprint)]
	return d, ok
}

// Versions returns the registered definitions of a name up to a version, newest first.
func (r *Registry) Versions(name string, upTo int) []Definition {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var defs []Definition
	for _, d := range r.byFingerprint {
		if d.Builder != nil && d.Plan.Name == name && d.Plan.Version <= upTo {
			defs = append(defs, d)
		}
	}
	sort.Slice(defs, func(i, j int) bool { return defs[i].Plan.Version > defs[j].Plan.Version })
	return defs
}

// Stored returns the registered definitions as rows, in a stable order.
func (r *Registry) Stored() ([]persistence.Definition, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var rows []persistence.Definition
	for fp, d := range r.byFingerprint {
		if d.Builder == nil {
			continue
		}
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(d.Plan.Proto())
		if err != nil {
			return nil, fmt.Errorf("encode definition %s v%d: %w", d.Plan.Name, d.Plan.Version, err)
		}
		rows = append(rows, persistence.Definition{Fingerprint: []byte(fp), Name: d.Plan.Name, Version: d.Plan.Version, Plan: data})
	}
	sort.Slice(rows, func(i, j int) bool { return string(rows[i].Fingerprint) < string(rows[j].Fingerprint) })
	return rows, nil
}
