package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokers"
)

// nodeOptions are the flags of the command node.
type nodeOptions struct {
	store        *string
	listen       string
	advertise    string
	cluster      string
	tls          sagaz.TLS
	heartbeat    time.Duration
	expiry       time.Duration
	drain        time.Duration
	participants []string
	noSagas      bool
	noHosting    bool
	tied         bool
	migrate      bool
	broker       string
	api          apiOptions
}

// brokerEnv names the variable that gives --broker its default.
const brokerEnv = "SAGAZ_BROKER"

// readyLine is what a node prints once it works, followed by its address in the cluster and that of its API, as far as it has them.
const readyLine = "ready"

// untilStdinFlag ties a node to the life of whoever started it.
const untilStdinFlag = "until-stdin-ends"

func nodeCommand(app App) *cobra.Command {
	o := &nodeOptions{}
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a node: alone, or with --listen as a member of a cluster",
		Long: "Run a node until it is told to stop (SIGTERM or ^C): it hands its sagas over, finishes what its handlers are doing, and exits 0. A second signal " +
			"ends it at once. It prints \"" + readyLine + "\", its address in the cluster and its API's address when it works.",
		Args: cobra.NoArgs,
	}
	o.store = storeFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "", "join the cluster and listen there for other members: host:port (default: alone)")
	f.StringVar(&o.advertise, "advertise", "", "the address that other members dial (default: what --listen got)")
	f.StringVar(&o.cluster, "cluster", "sagaz", "the cluster's name, the same for all members")
	f.StringVar(&o.tls.CertFile, "tls-cert", "", "this member's certificate, PEM; with --tls-key and --tls-ca: members talk mTLS")
	f.StringVar(&o.tls.KeyFile, "tls-key", "", "its key, PEM")
	f.StringVar(&o.tls.CAFile, "tls-ca", "", "the authorities that members' certificates are signed by, PEM")
	f.StringVar(&o.tls.ServerName, "tls-server-name", "", "the DNS name in every member's certificate (default: the cluster's name)")
	f.DurationVar(&o.heartbeat, "heartbeat", time.Second, "how often a member shows that it is alive")
	f.DurationVar(&o.expiry, "expiry", 5*time.Second, "how long a member without a heartbeat counts as alive")
	f.DurationVar(&o.drain, "drain-timeout", 10*time.Second, "how long the way out may take")
	f.StringSliceVar(&o.participants, "participants", nil, "the participants to host, by name (default: all)")
	f.BoolVar(&o.noSagas, "no-sagas", false, "host participants alone")
	f.BoolVar(&o.noHosting, "no-participants", false, "run sagas alone: other members host the participants")
	f.BoolVar(&o.tied, untilStdinFlag, false, "end when standard input does")
	_ = f.MarkHidden(untilStdinFlag) // for programs that start nodes; the flag is there
	f.StringVar(&o.broker, "broker", os.Getenv(brokerEnv), "publish events there: nats://…, kafka://…, amqp://…, redis://… or postgres://… (default from "+brokerEnv+"; empty: events are neither stored nor sent)")
	f.BoolVar(&o.migrate, "migrate", false, "bring the schema to this binary's version first")
	o.api.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runNode(cmd, app, o) }
	return cmd
}

func runNode(cmd *cobra.Command, app App, o *nodeOptions) (err error) {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	if o.tied {
		go func() {
			_, _ = io.Copy(io.Discard, cmd.InOrStdin())
			cancel()
		}()
	}
	cfg, err := o.config()
	if err != nil {
		return err
	}
	if err := o.api.apply(cmd, &cfg); err != nil {
		return err
	}
	if !o.noSagas {
		cfg.Sagas = app.Sagas
	}
	if app.Participants != nil && !o.noHosting {
		all, closed, failed := app.Participants(ctx, *o.store)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, closed()) }()
		if cfg.Participants, err = choose(all, o.participants); err != nil {
			return err
		}
	}
	if o.broker != "" {
		b, failed := brokers.Open(ctx, o.broker, transport.Options{})
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, b.Close()) }()
		cfg.Publisher = b.Publisher
	}
	node, err := sagaz.Open(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), strings.Join(strings.Fields(readyLine+" "+node.Address()+" "+node.APIAddr()), " "))
	select {
	case <-ctx.Done():
	case <-node.Lost():
		err = errors.New("another node has taken this one's place")
	}
	return errors.Join(err, node.Close(context.WithoutCancel(ctx)))
}

func (o *nodeOptions) config() (sagaz.Config, error) {
	cfg := sagaz.Config{Store: *o.store, Migrate: o.migrate, DrainTimeout: o.drain}
	if o.noHosting && len(o.participants) > 0 {
		return cfg, errors.New("--participants and --no-participants: choose one")
	}
	if o.listen == "" {
		return cfg, nil
	}
	cfg.Cluster = &sagaz.Cluster{Listen: o.listen, Advertise: o.advertise, Name: o.cluster, Heartbeat: o.heartbeat, Expiry: o.expiry}
	switch given := []string{o.tls.CertFile, o.tls.KeyFile, o.tls.CAFile}; {
	case !slices.Contains(given, ""):
		cfg.Cluster.TLS = &o.tls
	case strings.Join(given, "") != "":
		return cfg, errors.New("--tls-cert, --tls-key and --tls-ca go together")
	}
	return cfg, nil
}

// choose returns the participants of those names, or all of them for no names.
func choose(all []*sagaz.Participant, names []string) ([]*sagaz.Participant, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []*sagaz.Participant
	for _, name := range names {
		at := slices.IndexFunc(all, func(p *sagaz.Participant) bool { return p.Name() == name })
		if at < 0 {
			var known []string
			for _, p := range all {
				known = append(known, p.Name())
			}
			return nil, fmt.Errorf("--participants: there is no participant %q in this binary: it has %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}
