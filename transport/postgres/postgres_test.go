package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
	"github.com/sagaz/sagaz/transport"
	"github.com/sagaz/sagaz/transport/brokertest"
)

func TestMain(m *testing.M) { testpg.Main(m) }

func TestSuite(t *testing.T) {
	server, err := testpg.Start(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	brokertest.Run(t, brokertest.Subject{
		Open: Open, URL: server.DSN(), TooBig: 9 << 20,
		Stop: server.Kill, Start: func(t testing.TB) { require.NoError(t, server.Restart(t.Context())) },
	})
}

func TestALongTopicIsRefusedForGood(t *testing.T) {
	t.Parallel()
	b, err := Open(t.Context(), testpg.DSN(t), transport.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.True(t, transport.IsRefused(b.Publisher.Publish(strings.Repeat("x", 46), transport.Event{ID: "a"}.Message())))
	require.True(t, transport.IsRefused(b.Publisher.Publish("t", transport.Event{ID: strings.Repeat("x", 37)}.Message())))
}

func TestOldMessagesAreDeleted(t *testing.T) {
	t.Parallel()
	dsn := testpg.DSN(t)
	b, err := Open(t.Context(), dsn, transport.Options{Retention: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	p := b.Publisher.(*publisher)
	require.NoError(t, p.Publish("topic.x", transport.Event{ID: "old"}.Message(), transport.Event{ID: "young"}.Message()))
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `UPDATE "watermill_topic.x" SET created_at = created_at - interval '2 hours' WHERE uuid = 'old'`)
	require.NoError(t, err)

	require.Equal(t, []string{"topic.x"}, p.topics.all())
	n, err := (&trimmer{publisher: p}).trim(t.Context(), "topic.x")
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}
