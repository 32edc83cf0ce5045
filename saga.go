package sagaz

import (
	"context"
	"errors"
	"fmt"

	"github.com/sagaz/sagaz/actors"
	"github.com/sagaz/sagaz/messages"
	"github.com/sagaz/sagaz/messages/sagazpb"
)

// Saga is a saga that was started, typed by what it returns.
type Saga[Out any] struct {
	node       *Node
	id         string
	definition string
}

// Handle returns the handle of a saga that was started elsewhere or earlier. It asks nobody: Wait tells when there is no such saga.
func (d *Definition[In, Out]) Handle(n *Node, id string) *Saga[Out] {
	return &Saga[Out]{node: n, id: id, definition: d.plan.Name}
}

// ID returns the saga's id.
func (h *Saga[Out]) ID() string { return h.id }

// Wait returns the result of a completed saga, a *CompensatedError or an *AbandonedError. It waits as long as the saga takes; a stuck saga
// is waited for too. It may be called any number of times. Other errors: ErrNotFound, ErrIDInUse (the saga is of another definition), ErrClosed, ctx's.
func (h *Saga[Out]) Wait(ctx context.Context) (Out, error) {
	for {
		out, err := h.ask(ctx)
		if !errors.Is(err, actors.ErrNoAnswer) {
			return out, err
		}
	}
}

func (h *Saga[Out]) ask(ctx context.Context) (Out, error) {
	var none Out
	r, err := h.node.await(ctx, h.id)
	if err != nil {
		return none, err
	}
	if r.Definition != h.definition {
		return none, fmt.Errorf("saga %s: %w: it is of definition %s, not %s", h.id, ErrIDInUse, r.Definition, h.definition)
	}
	switch r.Phase {
	case sagazpb.SagaPhase_SAGA_PHASE_COMPENSATED:
		return none, &CompensatedError{SagaID: h.id, Step: r.FailedStep, Reason: r.Reason}
	case sagazpb.SagaPhase_SAGA_PHASE_ABANDONED:
		return none, &AbandonedError{SagaID: h.id, Note: r.Reason}
	}
	if len(r.Result) == 0 {
		return none, nil
	}
	out, err := messages.Decode[Out](r.Result)
	if err != nil {
		return none, fmt.Errorf("saga %s: its result: %w", h.id, err)
	}
	return out, nil
}

// await asks once for the end of a saga. Without an answer the error is actors.ErrNoAnswer: ask again.
func (n *Node) await(ctx context.Context, id string) (*sagazpb.SagaResponse, error) {
	return n.request(ctx, id, &sagazpb.SagaRequest{Request: &sagazpb.SagaRequest_Await{Await: &sagazpb.AwaitSaga{SagaId: id}}}, awaitAgain)
}
