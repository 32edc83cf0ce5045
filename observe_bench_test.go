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

// BenchmarkObserved runs the same sagas by turns on a node that counts nothing and on one with metrics and API that is scraped once a second, and reports what
// observing costs: the median over pairs of rounds that follow each other, with the bounds that hold the true median in 95 of 100 such runs. The
// machine's moods last longer than a pair, so that they touch both halves of it. Which half comes first alternates.
func BenchmarkObserved(b *testing.B) {
	dsn := testpg.DSN(b)
	require.NoError(b, sagaz.Migrate(b.Context(), dsn))
	const pairs, sagas, concurrency = 24, 10_000, 1024
	var rate, cpu [2][]float64 // 0: not observed, 1: observed
	var moreCPU, lessRate, scrapes []float64
	for pair := range pairs {
		for _, on := range []int{pair % 2, 1 - pair%2} {
			cfg := sagaz.Config{Store: dsn, Sagas: []sagaz.AnyDefinition{relay}, Participants: []*sagaz.Participant{echo{}.participant()}, Logger: slog.New(slog.DiscardHandler)}
			if on == 1 {
				cfg.API = &sagaz.API{Listen: "127.0.0.1:0"}
			}
			r, c, s := observed(b, cfg, fmt.Sprintf("%d-%d-", pair, on), sagas, concurrency)
			rate[on], cpu[on], scrapes = append(rate[on], r), append(cpu[on], c), append(scrapes, s...)
		}
		lessRate = append(lessRate, 100*(1-rate[1][pair]/rate[0][pair]))
		moreCPU = append(moreCPU, 100*(cpu[1][pair]/cpu[0][pair]-1))
	}
	for _, list := range [][]float64{rate[0], rate[1], cpu[0], cpu[1], lessRate, moreCPU, scrapes} {
		slices.Sort(list)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rate[0][pairs/2], "sagas/s-off")
	b.ReportMetric(rate[1][pairs/2], "sagas/s-on")
	b.ReportMetric(cpu[0][pairs/2], "µs-CPU-off")
	b.ReportMetric(cpu[1][pairs/2], "µs-CPU-on")
	for name, list := range map[string][]float64{"throughput": lessRate, "CPU": moreCPU} {
		// Of 24 values the 7th and the 18th bound the median with 97.7 % (binomial): 95 and more.
		b.ReportMetric(list[6], "%-"+name+"-low")
		b.ReportMetric(list[pairs/2], "%-"+name)
		b.ReportMetric(list[17], "%-"+name+"-high")
	}
	b.ReportMetric(scrapes[len(scrapes)/2], "ms-scrape-p50")
}

// observed returns sagas a second, CPU of this process in µs a saga, and what scrapes took in ms.
func observed(b *testing.B, cfg sagaz.Config, prefix string, sagas, concurrency int) (perSecond, cpu float64, scrapes []float64) {
	b.Helper()
	n, err := sagaz.Open(b.Context(), cfg)
	require.NoError(b, err)
	done, scraped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(scraped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for cfg.API != nil { // at once, too: a short round has its scrape
			begun := time.Now()
			resp, err := http.Get("http://" + n.APIAddr() + "/metrics")
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			scrapes = append(scrapes, float64(time.Since(begun).Microseconds())/1000)
			select {
			case <-tick.C:
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
