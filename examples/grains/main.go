// Command grains shows package cluster without sagas: grains of a program's own on Proto.Actor, of which each lives once in the whole cluster. Every
// process of it is a member; they find each other through a Postgres.
//
//	go run ./examples/grains -store postgres://… -host -visit lobby
//	go run ./examples/grains -store postgres://… -visit lobby
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	protocluster "github.com/asynkron/protoactor-go/cluster"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sagaz/sagaz/cluster"
	"github.com/sagaz/sagaz/persistence/postgres"
)

// visits counts the visitors of one room. It is in memory: it lives as long as nobody moves it.
type visits struct{ n int64 }

// Receive implements actor.Actor.
func (v *visits) Receive(ctx actor.Context) {
	if more, ok := ctx.Message().(*wrapperspb.Int64Value); ok {
		v.n += more.Value
		ctx.Respond(wrapperspb.Int64(v.n))
	}
}

func main() {
	store := flag.String("store", os.Getenv("SAGAZ_STORE"), "postgres://…")
	listen := flag.String("listen", "127.0.0.1:0", "where other members connect to")
	host := flag.Bool("host", false, "take rooms; otherwise this process only visits")
	room := flag.String("visit", "lobby", "the room to visit")
	flag.Parse()
	if err := run(*store, *listen, *host, *room, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(store, listen string, host bool, room string, until io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	table, err := postgres.Open(ctx, store, postgres.Options{Schema: "grains", Migrate: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, table.Close()) }()

	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return logger }))
	member := cluster.NewMember(cluster.Options{Store: table, Logger: logger})
	var kinds []*protocluster.Kind
	if host {
		kinds = append(kinds, protocluster.NewKind("visits", actor.PropsFromProducer(func() actor.Actor { return &visits{} })))
	}
	config, err := member.Config(cluster.Wire{Cluster: "rooms", Listen: listen}, kinds...)
	if err != nil {
		return err
	}
	if err := member.Start(system, config); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, member.Close(true)) }()

	answer, err := member.Context(nil).(*cluster.Context).RequestContext(ctx, room, "visits", wrapperspb.Int64(1))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: visitor %d\n", room, answer.(*wrapperspb.Int64Value).Value)
	_, err = io.Copy(io.Discard, until) // stay until standard input ends
	return err
}
