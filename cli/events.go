package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

// demoTopic is where the demo's lifecycle events go: the default of sagaz.Events.
const demoTopic = "sagaz.events"

func eventsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "events", Short: "Look at events on a broker"}
	cmd.AddCommand(tailCommand())
	return cmd
}

// tailOptions are the flags of `events tail`.
type tailOptions struct {
	broker, topic, group string
	count                int
	json                 bool
}

func tailCommand() *cobra.Command {
	o := &tailOptions{}
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print the events of a topic, from the oldest that the broker keeps, and follow it until ^C",
		Args:  cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&o.broker, "broker", "", "nats://…, kafka://…, amqp://…, redis://… or postgres://… (the demo prints its own)")
	f.StringVar(&o.topic, "topic", demoTopic, "the topic")
	f.StringVar(&o.group, "group", "", "the consumer group to read as: it goes on where it stopped (default: a new one)")
	f.IntVar(&o.count, "count", 0, "end after so many (0: never)")
	f.BoolVar(&o.json, "json", false, "one JSON object a line")
	required(cmd, "broker")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return tail(cmd.Context(), cmd.OutOrStdout(), o) }
	return cmd
}

func tail(ctx context.Context, out io.Writer, o *tailOptions) error {
	group := o.group
	if group == "" {
		group = fmt.Sprintf("sagaz-tail-%d", time.Now().UnixNano())
	}
	b, err := brokers.Open(ctx, o.broker, transport.Options{Group: group})
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // it only read
	incoming, err := b.Subscriber.Subscribe(ctx, o.topic)
	if err != nil {
		return err
	}
	for n := 0; o.count == 0 || n < o.count; n++ {
		m, ok := <-incoming
		if !ok {
			return nil // told to stop
		}
		e, err := transport.FromMessage(o.topic, m)
		if err == nil {
			err = printEvent(out, e, o.json)
		}
		if err != nil {
			m.Nack()
			return err
		}
		m.Ack()
	}
	return nil
}

// eventView is an event in JSON, in the names of CloudEvents.
type eventView struct {
	Topic         string            `json:"topic"`
	ID            string            `json:"id,omitempty"`
	Source        string            `json:"source,omitempty"`
	Type          string            `json:"type,omitempty"`
	Subject       string            `json:"subject,omitempty"`
	Time          time.Time         `json:"time,omitzero"`
	Sequence      string            `json:"sequence,omitempty"`
	CorrelationID string            `json:"correlationid,omitempty"`
	TraceParent   string            `json:"traceparent,omitempty"`
	Extensions    map[string]string `json:"extensions,omitempty"`
	Data          any               `json:"data,omitempty"`
}

func newEventView(e transport.Event) eventView {
	return eventView{
		Topic: e.Topic, ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time, Sequence: e.Sequence,
		CorrelationID: e.CorrelationID, TraceParent: e.TraceParent, Extensions: e.Extensions, Data: payload(e.Data),
	}
}

func printEvent(out io.Writer, e transport.Event, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(newEventView(e))
	}
	_, err := fmt.Fprintf(out, "%s  %-20s %s  %s\n", e.Time.Format("15:04:05.000"), e.Type, e.Subject, e.Data)
	return err
}
