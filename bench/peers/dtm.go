package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sagaz/sagaz/internal/rig"
)

const (
	dtmVersion = "v1.19.0"
	dtmConns   = 50
)

var dtmSetting = fmt.Sprintf("one server on Postgres with UpdateBranchSync (without it the result of a step is written behind), %d connections; "+
	"started and told of its steps over HTTP, that this process answers", dtmConns)

type dtmEngine struct {
	external
	http    *http.Client
	submit  string // where sagas are started
	service string // where steps are answered
	server  *http.Server
	served  chan error
}

func (e *dtmEngine) open(ctx context.Context, store string, do *participants) error {
	at, err := pgx.ParseConfig(store)
	if err != nil {
		return err
	}
	if err := dtmTables(ctx, store); err != nil {
		return err
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = rig.FreePort(); err != nil {
			return err
		}
	}
	if err := e.launch("dtm", func(string) ([]string, error) {
		return []string{
			"STORE_DRIVER=postgres", "STORE_HOST=" + at.Host, "STORE_PORT=" + strconv.Itoa(int(at.Port)), "STORE_USER=" + at.User,
			"STORE_PASSWORD=none", "STORE_DB=" + at.Database, "STORE_MAX_OPEN_CONNS=" + strconv.Itoa(dtmConns), "STORE_MAX_IDLE_CONNS=" + strconv.Itoa(dtmConns),
			"UPDATE_BRANCH_SYNC=1", "LOG_LEVEL=fatal", "HTTP_PORT=" + strconv.Itoa(ports[0]), "GRPC_PORT=" + strconv.Itoa(ports[1]), "JSON_RPC_PORT=" + strconv.Itoa(ports[2]),
		}, nil
	}); err != nil {
		return err
	}
	if err := e.serve(do); err != nil {
		return err
	}
	e.http = keepAlive()
	server := fmt.Sprintf("http://127.0.0.1:%d/api/dtmsvr", ports[0])
	e.submit = server + "/submit"
	return e.until(ctx, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/newGid", http.NoBody)
		if err != nil {
			return err
		}
		return e.do(r)
	})
}

// serve answers the server's calls: 200 for done, 409 for a rejection.
func (e *dtmEngine) serve(do *participants) error {
	mux := http.NewServeMux()
	for path, step := range map[string]func(order) error{
		"/reserve": do.reserve, "/charge": do.charge, "/ship": do.ship, "/refund": do.refund, "/release": do.release,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var o order
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			if err := step(o); err != nil {
				http.Error(w, "FAILURE", http.StatusConflict)
			}
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // listening takes no time
	if err != nil {
		return err
	}
	e.service = "http://" + listener.Addr().String()
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	e.served = make(chan error, 1)
	go func() { e.served <- e.server.Serve(listener) }()
	return nil
}

func (e *dtmEngine) saga(ctx context.Context, o order) error {
	payload, err := json.Marshal(o)
	if err != nil {
		return err
	}
	p := string(payload)
	body, err := json.Marshal(map[string]any{
		"gid": o.ID, "trans_type": "saga", "wait_result": true, "payloads": []string{p, p, p},
		"steps": []map[string]string{
			{"action": e.service + "/reserve", "compensate": e.service + "/release"},
			{"action": e.service + "/charge", "compensate": e.service + "/refund"},
			{"action": e.service + "/ship", "compensate": ""},
		},
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.submit, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	err = e.do(r)
	switch rejected := errors.Is(err, errRejected); {
	case rejected && o.Reject:
		return nil
	case err == nil && o.Reject:
		return errors.New("it was not compensated")
	default:
		return err
	}
}

// do makes a request of the server. That a saga was compensated is 409 to it.
func (e *dtmEngine) do(r *http.Request) error {
	answer, err := e.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // what was read has been read
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusConflict:
		return errRejected
	default:
		return fmt.Errorf("dtm: %s: %s", answer.Status, text)
	}
}

func (e *dtmEngine) close(context.Context) error {
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

// dtmTables makes its tables anew, as its own script says; its server makes none.
func dtmTables(ctx context.Context, store string) error {
	script, err := built("dtm.sql")
	if err != nil {
		return err
	}
	tables, err := os.ReadFile(script)
	if err != nil {
		return err
	}
	db, err := pgx.Connect(ctx, store)
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	_, err = db.Exec(ctx, string(tables))
	return err
}
