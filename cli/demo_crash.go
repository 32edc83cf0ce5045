package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sagaz/sagaz"
)

// killAt is how far the run is, in percent of the sagas that have ended, when the worker is killed.
var killAt = []int{20, 45, 70}

// toTheEnd stands for no kill.
const toTheEnd = 100

const (
	workerCommand = "demo-worker"
	endedLine     = "ended " // and how many: what a worker prints after every saga that ended
	sentLine      = "sent "  // and µs: what it prints of every event that the broker confirmed
	reopenLimit   = time.Minute
)

// runCrashing runs the workload in a child process that is killed in the middle, again and again, and checks the books from outside.
func runCrashing(ctx context.Context, d *Demo, w workload, a *audience, bar *progress) (r *result, err error) {
	// Few enough in flight that a kill always finds sagas that have not been started.
	w.concurrency = min(w.concurrency, max(1, w.sagas/10))
	began, crashes := time.Now(), 0
	for _, percent := range append(slices.Clone(killAt), toTheEnd) {
		hold := 0
		if percent != toTheEnd {
			hold = max(1, w.sagas*percent/100)
		}
		killed, err := runWorker(ctx, w, hold, a, bar)
		if errors.Is(err, context.DeadlineExceeded) {
			break // the books tell how far the run came
		}
		if err != nil {
			return nil, err
		}
		if killed {
			crashes++
		}
	}
	took := time.Since(began)

	ctx = context.WithoutCancel(ctx)
	world, err := d.Open(ctx, w.store)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, world.Close()) }()
	err = inspect(ctx, &place{store: &w.store}, func(i reader) error {
		r, err = w.judge(ctx, d, world, i, a, took)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.Crashes = crashes
	return r, nil
}

// runWorker runs one worker and kills it as soon as it says that hold sagas have ended; 0: it runs to the end.
func runWorker(ctx context.Context, w workload, hold int, a *audience, bar *progress) (killed bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("find this program: %w", err)
	}
	child := exec.CommandContext(ctx, self, workerCommand, "--store", w.store, "--prefix", w.prefix, "--sagas", strconv.Itoa(w.sagas),
		"--fail-rate", strconv.FormatFloat(w.failRate, 'g', -1, 64), "--concurrency", strconv.Itoa(w.concurrency), "--hold", strconv.Itoa(hold), "--broker", w.broker)
	child.Stderr = os.Stderr
	if _, err := child.StdinPipe(); err != nil { // closed by our death: the worker then ends too
		return false, err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := child.Start(); err != nil {
		return false, fmt.Errorf("start the worker: %w", err)
	}
	said := bufio.NewScanner(out)
	for said.Scan() {
		if us, ok := strings.CutPrefix(said.Text(), sentLine); ok && a != nil {
			if n, err := strconv.Atoi(us); err == nil {
				a.note(time.Duration(n) * time.Microsecond)
			}
			continue
		}
		ended, err := strconv.Atoi(strings.TrimPrefix(said.Text(), endedLine))
		if err != nil {
			continue
		}
		bar.set(ended)
		if hold > 0 && ended >= hold && !killed {
			killed = child.Process.Kill() == nil
		}
	}
	err = child.Wait()
	if killed && child.ProcessState.ExitCode() == -1 { // ended by a signal
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("the worker: %w", errors.Join(err, context.Cause(ctx)))
	}
	return false, nil
}

// demoWorkerCommand is what the demo runs in the process that it kills.
func demoWorkerCommand(d *Demo) *cobra.Command {
	w, hold := &workload{}, 0
	cmd := &cobra.Command{Use: workerCommand, Hidden: true, Args: cobra.NoArgs}
	w.flags(cmd)
	cmd.Flags().StringVar(&w.prefix, "prefix", "", "what the sagas' ids begin with")
	cmd.Flags().IntVar(&hold, "hold", 0, "start nothing more after this many have ended, and wait for the end")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		ctx, cancel := context.WithCancelCause(cmd.Context())
		defer cancel(nil)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // whichever way it ends, nobody waits for this worker any more
			cancel(errors.New("the demo is gone"))
		}()
		world, err := d.Open(ctx, w.store)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, world.Close()) }()
		out := &lines{w: cmd.OutOrStdout()}
		events, closed, err := workerEvents(ctx, w.broker, out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, closed()) }()
		n, err := reopen(ctx, d, world, *w, events)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, n.Close(context.WithoutCancel(ctx))) }()
		if err := w.run(ctx, d, world, n, hold, func(ended int) { out.print(endedLine, ended) }); err != nil {
			return err
		}
		return awaitSent(ctx, w)
	}
	return cmd
}

// reopen opens the store after a crash: on Postgres it takes a moment until the dead node is known to be dead.
func reopen(ctx context.Context, d *Demo, world DemoWorld, w workload, a *audience) (*sagaz.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, reopenLimit)
	defer cancel()
	for {
		n, err := openDemoNode(context.WithoutCancel(ctx), d, world, w, a)
		if !errors.Is(err, sagaz.ErrInUse) {
			return n, err
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			return nil, err
		}
	}
}
