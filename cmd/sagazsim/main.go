// Command sagazsim runs clusters in virtual time, each from a seed, and says which of them broke a promise.
//
//	go run ./cmd/sagazsim -seed 42 -trace    # one run, event by event
//	go run ./cmd/sagazsim -for 60s           # as many as there is time for
//	go run -tags mutants ./cmd/sagazsim -mutants
//	go run -tags mutants ./cmd/sagazsim -plant timer-early -seed 8 -trace
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sagaz/sagaz/internal/sim"
)

func main() {
	seed := flag.Uint64("seed", 0, "run this seed alone")
	trace := flag.Bool("trace", false, "with -seed: print everything that happens")
	duration := flag.Duration("for", time.Minute, "run seeds for as long")
	first := flag.Uint64("first", uint64(time.Now().UnixNano()), "the first seed; the others follow it")
	count := flag.Uint64("seeds", 0, "run so many seeds, however long it takes")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "run so many at the same time")
	planted := flag.Bool("mutants", false, "plant one bug after the other, and print after how many seeds each is found; -seeds bounds the search")
	known := flag.Bool("known", false, "with -mutants: try the seed first that once showed the bug")
	only := flag.String("only", "", "with -mutants: this one alone")
	bug := flag.String("plant", "", "run the seeds with this planted bug")
	flag.Parse()
	if *planted {
		os.Exit(mutants(*workers, *only, *known, *count))
	}
	if *bug != "" {
		plant(*bug)
	}
	if *seed != 0 {
		os.Exit(one(*seed, *trace))
	}
	os.Exit(many(*first, *count, *duration, *workers))
}

// one runs a seed and tells all about it.
func one(seed uint64, trace bool) int {
	var out io.Writer
	if trace {
		out = os.Stdout
	}
	r := sim.Run(seed, out)
	fmt.Printf("seed %d: %d events in %s of virtual time, %d sagas, %d ended, hash %016x\n", r.Seed, r.Events, r.Virtual, r.Sagas, r.Ended, r.Hash)
	for _, v := range r.Violations {
		fmt.Println(v)
	}
	if len(r.Violations) > 0 {
		return 1
	}
	return 0
}

// shown is how many failing seeds are told of.
const shown = 20

// many runs seeds on several goroutines, each run on one.
func many(first, count uint64, duration time.Duration, workers int) int {
	var total sim.Total
	var mu sync.Mutex
	var next atomic.Uint64
	var wg sync.WaitGroup
	begun := time.Now()
	fmt.Printf("seeds from %d on\n", first)
	for range workers {
		wg.Go(func() {
			for n := next.Add(1) - 1; count > 0 && n < count || count == 0 && time.Since(begun) < duration; n = next.Add(1) - 1 {
				r := sim.Run(first+n, nil)
				mu.Lock()
				total.Add(&r)
				if len(r.Violations) > 0 && total.Failed <= shown {
					fmt.Printf("seed %d: %s (and %d more)\n  go run ./cmd/sagazsim -seed %d -trace\n", r.Seed, r.Violations[0], len(r.Violations)-1, r.Seed)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	total.Print(os.Stdout, time.Since(begun))
	if total.Failed > 0 {
		return 1
	}
	return 0
}
