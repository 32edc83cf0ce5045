package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
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
	var results []result
	for i, rate := range []float64{10, 40, 20} {
		for _, engine := range []string{"sagaz", "dbos-20"} {
			for _, mode := range []string{completed, compensated} {
				for load, more := range map[string]float64{"1": 0, "16": 1, half: 100} {
					results = append(results, result{Round: i + 1, Engine: engine, Mode: mode, Load: load, figures: figures{Rate: rate + more, P50: 100 * rate, P99: 2000}})
				}
			}
		}
	}
	o := options{svg: filepath.Join(t.TempDir(), "peers.svg"), warm: time.Second, window: time.Second}
	var out bytes.Buffer
	require.NoError(t, report(&out, results, o))
	require.Contains(t, out.String(), "| sagaz | completed | 3 | 21 (11–41) | 16 | 2.00 (1.00–4.00) | 2.00 (2.00–2.00) |", "the better level, and half load is none")
	require.Contains(t, out.String(), "| dbos-20 | compensated | 3 |")
	svg, err := os.ReadFile(o.svg)
	require.NoError(t, err)
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestEveryFigureIsInTheFileAndCanBeAddedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers.csv")
	o := options{warm: time.Second, window: 3 * time.Second}
	before, err := read(path, o)
	require.NoError(t, err)
	require.Empty(t, before, "there is no file yet")
	results := []result{
		{Round: 1, Engine: "sagaz", Mode: completed, Load: "1", figures: figures{Rate: 1.5, P50: 2, P99: 3, EngineCPU: 4, StoreCPU: 5, WAL: 6, RSS: 7}},
		{Round: 2, Engine: "temporal-8-pollers", Mode: compensated, Load: half, figures: figures{Rate: 8}},
	}
	require.NoError(t, write(path, results, o))
	again, err := read(path, o)
	require.NoError(t, err)
	require.Equal(t, results, again)
	_, err = read(path, options{warm: time.Second, window: time.Second})
	require.ErrorContains(t, err, "begin a new file", "it was measured for another time")
}
