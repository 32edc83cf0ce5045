package sagaz_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/messages"
)

// lines keeps the log of a node, a JSON object a line.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// all returns the lines so far.
func (l *lines) all(t require.TestingT) (list []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range bytes.Split(bytes.TrimSpace(l.text.Bytes()), []byte("\n")) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal(line, &fields), string(line))
		list = append(list, fields)
	}
	return list
}

// await returns the first line of a message.
func (l *lines) await(t *testing.T, message string) (fields map[string]any) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, line := range l.all(t) {
			if line["msg"] == message {
				fields = line
				return true
			}
		}
		return false
	}, time.Minute, 5*time.Millisecond, message)
	return fields
}

func TestLogLinesSayWhere(t *testing.T) {
	t.Parallel()
	log := &lines{}
	strike := echo{
		two: func(context.Context, sagaz.Delivery[ping]) (pong, error) {
			return pong{}, sagaz.Reject(errors.New("no"))
		},
		undo: func(context.Context, sagaz.Delivery[ping]) (messages.None, error) {
			return messages.None{}, sagaz.Reject(errors.New("on strike"))
		},
	}
	n := open(t, sagaz.Config{
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), API: &sagaz.API{Listen: "127.0.0.1:0"},
		Participants: []*sagaz.Participant{strike.participant()},
	})
	_, err := relay.Start(t.Context(), n, "s", ping{1})
	require.NoError(t, err)

	stuck := log.await(t, "a saga is stuck: it waits for a person")
	where, err := n.Cluster(t.Context())
	require.NoError(t, err)
	require.Equal(t, "WARN", stuck["level"])
	require.Equal(t, "s", stuck["saga"])
	require.Equal(t, "first", stuck["step"])
	require.EqualValues(t, where.ShardOf("s"), stuck["shard"])
	require.Equal(t, where.Members[0].Name, stuck["node"])
	require.Contains(t, stuck["error"], "on strike")

	log.await(t, "the API listens")
	for _, line := range log.all(t) {
		require.Equal(t, where.Members[0].Name, line["node"], "%v", line)
	}
}
