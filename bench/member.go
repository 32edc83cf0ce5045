package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// What a process of a cluster hosts.
const (
	roleBoth         = "both"
	roleSagas        = "sagas"
	roleParticipants = "participants"
)

var wait = messages.NewCommand[nothing, nothing]("waiting.wait")

// endless is one step that is not answered.
var endless = sagaz.Define("bench.endless", func(s *sagaz.Builder[nothing, messages.None]) {
	sagaz.Step(s, "wait", wait, func(nothing, sagaz.Results) nothing { return nothing{} }, sagaz.Timeout(time.Hour))
})

const (
	clusterName  = "bench"
	loopback     = "127.0.0.1:0"
	manyCommands = 1_000_000
)

func clusterConfig(store, role string) sagaz.Config {
	cfg := sagaz.Config{Store: store, IdleAfter: time.Hour, StartTimeout: time.Minute, Cluster: &sagaz.Cluster{Listen: loopback, Name: clusterName}}
	if role == roleBoth || role == roleSagas {
		cfg.Sagas = []sagaz.AnyDefinition{three, endless}
	}
	if role == roleBoth || role == roleParticipants {
		never := sagaz.NewParticipant("waiting", sagaz.Concurrency(1), sagaz.QueueLimit(manyCommands))
		sagaz.Handle(never, wait, func(ctx context.Context, _ sagaz.Delivery[nothing]) (nothing, error) {
			<-ctx.Done()
			return nothing{}, ctx.Err()
		})
		cfg.Participants = []*sagaz.Participant{noops(answer, sagaz.QueueLimit(manyCommands)), never}
	}
	return cfg
}

// turn is what a member is asked for, in a line of JSON: to run sagas until a moment and count those that end after another, or only those that it has in memory.
type turn struct {
	Prefix      string
	Concurrency int
	From, To    time.Time
}

// answered is its answer: the sagas that ended, and those that it has in memory.
type answered struct{ Ended, Live int }

// beMember is one process of a cluster. It ends when its standard input does, in order.
func beMember(ctx context.Context, store, role string) error {
	node, err := sagaz.Open(ctx, clusterConfig(store, role))
	if err != nil {
		return err
	}
	fmt.Println("ready", node.Address())
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var t turn
		if err := in.Decode(&t); errors.Is(err, io.EOF) {
			return node.Close(ctx)
		} else if err != nil {
			return errors.Join(err, node.Close(ctx))
		}
		a, err := takeTurn(ctx, node, t)
		if err != nil {
			return errors.Join(err, node.Close(ctx))
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func takeTurn(ctx context.Context, node *sagaz.Node, t turn) (answered, error) {
	ended, err := between(ctx, node, t.Prefix, t.Concurrency, t.From, t.To)
	return answered{Ended: ended, Live: node.Live()}, err
}
