package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/internal/testpg"
)

func TestMain(m *testing.M) { testpg.Main(m) }

func TestEveryEngineRunsTheSameSaga(t *testing.T) {
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			e, do := p.make(), new(participants)
			defer func() { require.NoError(t, e.close(t.Context())) }()
			require.NoError(t, e.open(t.Context(), testpg.DSN(t), do))
			require.NoError(t, prove(t.Context(), e, do))
		})
	}
}

func TestTheVersionsNamedAreThePinnedOnes(t *testing.T) {
	for pin, line := range map[string]string{
		"dtm/go.mod":                "github.com/dtm-labs/dtm " + dtmVersion,
		"temporal/go.mod":           "go.temporal.io/server " + temporalVersion,
		"restate/package-lock.json": `"@restatedev/restate-server": "` + restateVersion + `"`,
	} {
		text, err := os.ReadFile(filepath.Join("servers", pin))
		require.NoError(t, err)
		require.Contains(t, string(text), line)
	}
}

func TestTheLedgerIsCheckedForOrderAndNumber(t *testing.T) {
	happy, undone := order{ID: "1"}, order{ID: "2", Reject: true}
	for name, c := range map[string]struct {
		ledger map[string][]string
		of     order
		right  bool
	}{
		"as it should be": {map[string][]string{"1": {"reserve", "charge", "ship"}}, happy, true},
		"undone":          {map[string][]string{"2": {"reserve", "charge", "ship rejected", "refund", "release"}}, undone, true},
		"twice":           {map[string][]string{"1": {"reserve", "charge", "charge", "ship"}}, happy, false},
		"wrong way round": {map[string][]string{"2": {"reserve", "charge", "ship rejected", "release", "refund"}}, undone, false},
		"not undone":      {map[string][]string{"2": {"reserve", "charge", "ship rejected"}}, undone, false},
		"nothing":         {map[string][]string{}, happy, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := check(c.ledger, []order{c.of}); c.right {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}
}

func TestAReportHasARowForEachModeAndAPlotThatParses(t *testing.T) {
	chosen, err := choose("sagaz,dbos-20")
	require.NoError(t, err)
	var results []result
	for _, p := range chosen {
		for _, mode := range []string{completed, compensated} {
			for _, load := range []string{"1", "16", half} {
				for _, rate := range []float64{10, 30, 20} {
					results = append(results, result{p.name, mode, load, figures{Rate: rate + float64(len(load)), P50: 1000, P99: 2000}})
				}
			}
		}
	}
	dir := t.TempDir()
	o := options{csv: filepath.Join(dir, "peers.csv"), svg: filepath.Join(dir, "peers.svg"), rounds: 3, warm: time.Second, window: time.Second}
	var out bytes.Buffer
	require.NoError(t, report(&out, chosen, results, o))
	require.Contains(t, out.String(), "| sagaz | completed | 22 (16) | 1.00 / 2.00 |", "the median of the better level")
	rows, err := os.ReadFile(o.csv)
	require.NoError(t, err)
	require.Equal(t, 1+2*2*3, strings.Count(string(rows), "\n"))
	svg, err := os.ReadFile(o.svg)
	require.NoError(t, err)
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}
