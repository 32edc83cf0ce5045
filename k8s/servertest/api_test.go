//go:build controlplane

package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// apiToken is an operator's.
const apiToken = "the-token-of-the-customer"

// callTimeout is more than Await waits.
const callTimeout = time.Minute

// api is Sagaz' own API, as it is reached through the Service.
type api struct{ http *http.Client }

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d: %s", r.status, r.text) }

func (a *api) call(ctx context.Context, method string, request, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://sagaz.sagaz.svc:8080/sagaz.v1.SagaService/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+apiToken)
	resp, err := a.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &refusal{resp.StatusCode, string(text)}
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// tally counts what a customer has seen.
type tally struct {
	started int
	leaving int     // requests that a node on its way out refused, or whose connection it closed: to be asked again, and somebody else answers
	wrong   []error // what must not be
}

func (s *tally) note(id string, err error) {
	if isLeaving(err) {
		s.leaving++
		return
	}
	s.wrong = append(s.wrong, fmt.Errorf("%s: %w", id, err))
}

// isLeaving knows what a node on its way out may do to a connection that was open before. A new connection to it is another thing: preStop waits
// until nobody makes one.
func isLeaving(err error) bool {
	if no := (*refusal)(nil); errors.As(err, &no) {
		return no.status == http.StatusServiceUnavailable
	}
	if dialling := (*net.OpError)(nil); errors.As(err, &dialling) && dialling.Op == "dial" {
		return false
	}
	broken := (*url.Error)(nil) // of the request; and these are of the answer's body
	return errors.As(err, &broken) && !broken.Timeout() || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

func (s tally) check(t *testing.T) {
	t.Helper()
	require.Empty(t, first(s.wrong), "%d requests failed that should not have", len(s.wrong))
}

func (s tally) String() string {
	return fmt.Sprintf("%d sagas started, %d requests made again", s.started, s.leaving)
}

// first keeps a message short.
func first[T any](all []T) []T { return all[:min(len(all), 5)] }
