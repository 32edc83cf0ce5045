package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	trimEvery = 10 * time.Minute
	trimBatch = 10_000
)

// topics are those that a publisher has published to.
type topics struct {
	mu   sync.Mutex
	list []string
}

func (t *topics) add(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.list, topic) {
		t.list = append(t.list, topic)
	}
}

func (t *topics) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// trimmer deletes messages older than Options.Retention, consumed or not: nothing else would, and the tables would grow for ever.
type trimmer struct {
	publisher *publisher
	cancel    context.CancelFunc
	done      chan struct{}
}

func startTrimmer(p *publisher) *trimmer {
	ctx, cancel := context.WithCancel(context.Background())
	t := &trimmer{publisher: p, cancel: cancel, done: make(chan struct{})}
	go t.run(ctx)
	return t
}

func (t *trimmer) run(ctx context.Context) {
	defer close(t.done)
	ticker := time.NewTicker(trimEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, topic := range t.publisher.topics.all() {
			if _, err := t.trim(ctx, topic); err != nil && ctx.Err() == nil {
				t.publisher.options.Logger.Warn("old messages of a topic on Postgres are not deleted", "topic", topic, "error", err)
			}
		}
	}
}

func (t *trimmer) trim(ctx context.Context, topic string) (deleted int64, err error) {
	table := pgx.Identifier{"watermill_" + topic}.Sanitize()
	for {
		tag, err := t.publisher.pool.Exec(ctx, `DELETE FROM `+table+` WHERE (transaction_id, "offset") IN
			(SELECT transaction_id, "offset" FROM `+table+` WHERE created_at < localtimestamp - make_interval(secs => $1) LIMIT $2)`,
			t.publisher.options.Retention.Seconds(), trimBatch)
		if err != nil {
			return deleted, fmt.Errorf("delete old messages of topic %q: %w", topic, err)
		}
		deleted += tag.RowsAffected()
		if tag.RowsAffected() < trimBatch {
			return deleted, nil
		}
	}
}

// Close ends the trimmer.
func (t *trimmer) Close() error {
	t.cancel()
	<-t.done
	return nil
}
