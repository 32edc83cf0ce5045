package sagaz

import (
	"context"
	"errors"

	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/transport"
)

// relays send what one outbox holds for several publishers: the node's own, and those of participants behind topics. Each has its own loops, so that a broker
// that hangs holds up nobody else's messages.
type relays []*transport.Relay

// Open implements actors.Outbox.
func (r relays) Open(lane int) {
	for _, one := range r {
		one.Open(lane)
	}
}

// Close implements actors.Outbox.
func (r relays) Close(ctx context.Context, lane int) error {
	return r.each(func(one *transport.Relay) error { return one.Close(ctx, lane) })
}

// Offer implements actors.Outbox: each takes those of its publisher.
func (r relays) Offer(rows []messages.Outgoing) {
	for _, one := range r {
		one.Offer(rows)
	}
}

// Drain implements actors.Outbox.
func (r relays) Drain(ctx context.Context) {
	for _, one := range r {
		one.Drain(ctx)
	}
}

// Shutdown implements actors.Outbox.
func (r relays) Shutdown(ctx context.Context) error {
	return r.each(func(one *transport.Relay) error { return one.Shutdown(ctx) })
}

// each calls all of them at once: the bound of a call is for the slowest, not for their sum.
func (r relays) each(do func(*transport.Relay) error) error {
	errs := make(chan error, len(r))
	for _, one := range r {
		go func() { errs <- do(one) }()
	}
	var all []error
	for range r {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
