package sagaz_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz"
	"github.com/sagaz/sagaz/internal/testpg"
)

// BenchmarkObserved runs the same sagas by turns on a node that counts nothing and on one with metrics and API that is scraped every five seconds, and reports
// the median of each: what observing costs. One round is 20,000 sagas, 1,024 at a time.
func BenchmarkObserved(b *testing.B) {
	dsn := testpg.DSN(b)
	require.NoError(b, sagaz.Migrate(b.Context(), dsn))
	const rounds, sagas, concurrency = 9, 20_000, 1024
	var rate, cpu [2][]float64
	var scrapes []float64
	for round := range rounds {
		for i, on := range []bool{round%2 == 0, round%2 != 0} {
			which := i ^ round&1 // 0: observed, 1: not
			cfg := sagaz.Config{Store: dsn, Sagas: []sagaz.AnyDefinition{relay}, Participants: []*sagaz.Participant{echo{}.participant()}, Logger: slog.New(slog.DiscardHandler)}
			if on {
				cfg.API = &sagaz.API{Listen: "127.0.0.1:0"}
			}
			r, c, s := observed(b, cfg, fmt.Sprint(round, on), sagas, concurrency)
			rate[which], cpu[which], scrapes = append(rate[which], r), append(cpu[which], c), append(scrapes, s...)
		}
	}
	for _, list := range [][]float64{rate[0], rate[1], cpu[0], cpu[1], scrapes} {
		slices.Sort(list)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate[1][rounds/2], "sagas/s-off")
	b.ReportMetric(rate[0][rounds/2], "sagas/s-on")
	b.ReportMetric(100*(1-rate[0][rounds/2]/rate[1][rounds/2]), "%-throughput")
	b.ReportMetric(cpu[1][rounds/2], "µs-CPU-off")
	b.ReportMetric(cpu[0][rounds/2], "µs-CPU-on")
	if len(scrapes) > 0 {
		b.ReportMetric(scrapes[len(scrapes)/2], "ms-scrape-p50")
	}
}

// observed returns sagas a second, CPU of this process in µs a saga, and what scrapes took in ms.
func observed(b *testing.B, cfg sagaz.Config, prefix string, sagas, concurrency int) (perSecond, cpu float64, scrapes []float64) {
	b.Helper()
	n, err := sagaz.Open(b.Context(), cfg)
	require.NoError(b, err)
	done, scraped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(scraped)
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for cfg.API != nil {
			select {
			case <-tick.C:
				begun := time.Now()
				resp, err := http.Get("http://" + n.APIAddr() + "/metrics")
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				scrapes = append(scrapes, float64(time.Since(begun).Microseconds())/1000)
			case <-done:
				return
			}
		}
	}()
	before, begun := processCPU(), time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(sagas); i = next.Add(1) {
				s, err := relay.Start(b.Context(), n, fmt.Sprint(prefix, i), ping{1})
				if err == nil {
					_, err = s.Wait(b.Context())
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	perSecond = float64(sagas) / time.Since(begun).Seconds()
	cpu = float64((processCPU() - before).Microseconds()) / float64(sagas)
	close(done)
	<-scraped
	http.DefaultClient.CloseIdleConnections()
	require.NoError(b, n.Close(context.Background()))
	return perSecond, cpu, scrapes
}

func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
