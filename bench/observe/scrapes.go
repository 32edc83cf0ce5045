package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sagaz/sagaz"
)

// kinds of requests: what any answer of the node takes, and a scrape.
var kinds = []struct{ name, path string }{{"healthz", "/healthz"}, {"scrape", "/metrics"}}

// scrape is the other process: it asks for each kind in turn, so many times, at random moments 50 ms apart on average, and prints what each took.
func scrape(ctx context.Context, url string, times int) error {
	client := &http.Client{Timeout: time.Minute}
	for range times {
		for _, k := range kinds {
			time.Sleep(time.Duration(rand.Int64N(int64(100 * time.Millisecond))))
			begun := time.Now()
			body, err := get(ctx, client, url+k.path)
			if err != nil {
				return err
			}
			fmt.Println(k.name, time.Since(begun).Microseconds(), len(body), series(body))
		}
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return body, err
}

// series counts the lines of an exposition that are no comments.
func series(body []byte) (n int) {
	for line := range bytes.Lines(body) {
		if !bytes.HasPrefix(line, []byte("#")) {
			n++
		}
	}
	return n
}

// scrapes measures scrapes beside nothing, half of what the node can do, and all of it.
func scrapes(ctx context.Context, f flags) error {
	w := newWorkload(24, 10, 40)
	n, err := w.open(ctx, f.store, true)
	if err != nil {
		return err
	}
	defer func() { _ = n.Close(ctx) }()
	if err := w.everyOutcome(ctx, n); err != nil {
		return err
	}
	warm, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	begun := time.Now()
	done, err := w.closed(warm, n, 0, f.live)
	if err != nil {
		return err
	}
	rate := float64(done) / time.Since(begun).Seconds()
	for _, load := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"idle", func(ctx context.Context) error { <-ctx.Done(); return nil }},
		{fmt.Sprintf("half (%.0f sagas/s)", rate/2), func(ctx context.Context) error { return w.paced(ctx, n, rate/2) }},
		{fmt.Sprintf("all (%d at a time)", f.live), func(ctx context.Context) error { _, err := w.closed(ctx, n, 0, f.live); return err }},
	} {
		if err := beside(ctx, n, load.name, f.scrapes, load.run); err != nil {
			return err
		}
	}
	return nil
}

func beside(ctx context.Context, n *sagaz.Node, name string, times int, load func(context.Context) error) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	loaded := make(chan error, 1)
	go func() { loaded <- load(working) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-scraper", "http://"+n.APIAddr(), "-scrapes", strconv.Itoa(times))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	stop()
	if failed := <-loaded; failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	took, size := map[string][]float64{}, map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		µs, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return err
		}
		took[words[0]] = append(took[words[0]], µs/1000)
		size[words[0]] = words[2] + " bytes"
		if words[0] == "scrape" {
			size[words[0]] += ", " + words[3] + " series"
		}
	}
	for _, k := range kinds {
		list := took[k.name]
		slices.Sort(list)
		fmt.Printf("%-24s %-8s p50 %6.2f ms  p90 %6.2f ms  p99 %6.2f ms  max %6.2f ms  %s\n", name, k.name,
			list[len(list)/2], list[len(list)*9/10], list[len(list)*99/100], list[len(list)-1], size[k.name])
	}
	return nil
}
