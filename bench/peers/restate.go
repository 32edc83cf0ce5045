package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	restate "github.com/restatedev/sdk-go"
	"github.com/restatedev/sdk-go/ingress"
	"github.com/restatedev/sdk-go/server"

	"github.com/sagaz/sagaz/internal/rig"
)

const restateVersion = "1.7.12"

type restateEngine struct {
	external
	partitions int
	do         *participants
	client     *ingress.Client
	http       *http.Client
	server     *http.Server
	served     chan error
}

func restatePeer(name string, partitions int) peer {
	return peer{
		name: name, version: restateVersion,
		setting: fmt.Sprintf("one server, partitions: %d, with its own log on RocksDB, synced; a workflow with a Run for each call, served over HTTP/2 by this process; no Postgres", partitions),
		make:    func() engine { return &restateEngine{partitions: partitions} },
	}
}

func (e *restateEngine) open(ctx context.Context, _ string, do *participants) error {
	e.do = do
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = rig.FreeAddress(); err != nil {
			return err
		}
	}
	ingressAt, adminAt, nodeAt := addresses[0], addresses[1], addresses[2]
	if err := e.launch("restate-server", func(dir string) ([]string, error) {
		return []string{
			"RESTATE_BASE_DIR=" + dir, "RESTATE_INGRESS__BIND_ADDRESS=" + ingressAt, "RESTATE_ADMIN__BIND_ADDRESS=" + adminAt,
			"RESTATE_BIND_ADDRESS=" + nodeAt, "RESTATE_ADVERTISED_ADDRESS=http://" + nodeAt, "RESTATE_DEFAULT_NUM_PARTITIONS=" + strconv.Itoa(e.partitions),
			"RESTATE_LISTEN_MODE=tcp", "RESTATE_LOG_FILTER=error", "DO_NOT_TRACK=1", "RESTATE_DISABLE_TELEMETRY=true",
		}, nil
	}); err != nil {
		return err
	}
	service, err := e.serve()
	if err != nil {
		return err
	}
	e.http = keepAlive()
	e.client = ingress.NewClient("http://"+ingressAt, ingress.WithHttpClient(e.http))
	return e.until(ctx, func(ctx context.Context) error { return e.register(ctx, adminAt, service) })
}

// serve answers the server's calls on the address that it returns.
func (e *restateEngine) serve() (string, error) {
	definition := restate.NewWorkflow("Order").Handler("Run", restate.NewWorkflowHandler(e.order))
	handler, err := server.NewRestate().WithLogger(slog.DiscardHandler, true).Bind(definition).Handler()
	if err != nil {
		return "", err
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	e.server = &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: 5 * time.Second}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening takes no time
	if err != nil {
		return "", err
	}
	e.served = make(chan error, 1)
	go func() { e.served <- e.server.Serve(listener) }()
	return listener.Addr().String(), nil
}

// register tells the server where the workflow is.
func (e *restateEngine) register(ctx context.Context, admin, service string) error {
	body, err := json.Marshal(map[string]any{"uri": "http://" + service, "force": true})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/deployments", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := e.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // what was read has been read
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("register: %s: %s", answer.Status, text)
	}
	return nil
}

func (e *restateEngine) order(ctx restate.WorkflowContext, o order) (string, error) {
	step := func(name string, do func(order) error) error {
		_, err := restate.Run(ctx, func(restate.RunContext) (string, error) {
			err := do(o)
			if errors.Is(err, errRejected) {
				err = restate.ToTerminalError(err)
			}
			return "", err
		}, restate.WithName(name))
		if err == nil {
			return nil // of the interface's type, not a nil inside it
		}
		return err
	}
	if err := step("reserve", e.do.reserve); err != nil {
		return "", err
	}
	if err := step("charge", e.do.charge); err != nil {
		return "", err
	}
	if step("ship", e.do.ship) == nil {
		return completed, nil
	}
	if err := errors.Join(step("refund", e.do.refund), step("release", e.do.release)); err != nil {
		return "", err
	}
	return compensated, nil
}

func (e *restateEngine) saga(ctx context.Context, o order) error {
	end, err := ingress.Workflow[order, string](e.client, "Order", o.ID, "Run").Request(ctx, o)
	if err != nil {
		return err
	}
	return o.ended(end)
}

func (e *restateEngine) close(context.Context) error {
	err := e.end()
	if e.server != nil {
		err = errors.Join(err, e.server.Close())
		if end := <-e.served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}
	if e.http != nil {
		e.http.CloseIdleConnections()
	}
	return err
}
