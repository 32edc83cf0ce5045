package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/meter"
	"github.com/sagaz/sagaz/transport"
)

// figures are one measurement's.
type figures struct {
	sagas int
	took  time.Duration
	used  meter.Reading
}

func (f figures) perSecond() float64 { return float64(f.sagas) / f.took.Seconds() }

// goCPU and pgCPU are µs a saga, wal is bytes.
func (f figures) goCPU() float64 { return float64(f.used.GoCPU.Microseconds()) / float64(f.sagas) }
func (f figures) pgCPU() float64 { return float64(f.used.PGCPU.Microseconds()) / float64(f.sagas) }
func (f figures) wal() float64   { return float64(f.used.WAL) / float64(f.sagas) }

// throughput runs sagas as fast as they go.
func throughput(ctx context.Context, w *workload, m *meter.Meter, pub transport.Publisher, sagas, concurrency int, events sagaz.Events) (figures, error) {
	node, err := w.open(ctx, pub, events)
	if err != nil {
		return figures{}, err
	}
	before, err := m.Read(ctx)
	if err != nil {
		return figures{}, errors.Join(err, node.Close(ctx))
	}
	begin := time.Now()
	err = runSagas(ctx, node, sagas, concurrency, func(int) {})
	took := time.Since(begin)
	after, unread := m.Read(ctx)
	return figures{sagas, took, after.Since(before)}, errors.Join(err, unread, node.Close(ctx))
}

func median(list []figures, of func(figures) float64) float64 {
	values := make([]float64, len(list))
	for i, f := range list {
		values[i] = of(f)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
