package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

var columns = []string{
	"round", "engine", "version", "mode", "load", "warm_ms", "window_ms", "sagas_per_second", "p50_us", "p99_us",
	"engine_cpu_us_per_saga", "store_cpu_us_per_saga", "wal_bytes_per_saga", "rss_bytes",
}

// values are in the order of the columns.
func (f *figures) values() []*float64 {
	return []*float64{&f.Rate, &f.P50, &f.P99, &f.EngineCPU, &f.StoreCPU, &f.WAL, &f.RSS}
}

// write puts every round's figures into a CSV file.
func write(path string, results []result, o options) error {
	rows := [][]string{columns}
	for _, r := range results {
		chosen, err := choose(r.Engine)
		if err != nil {
			return err
		}
		row := []string{strconv.Itoa(r.Round), r.Engine, chosen[0].edition(), r.Mode, r.Load, milliseconds(o.warm), milliseconds(o.window)}
		for _, v := range r.values() {
			row = append(row, strconv.FormatFloat(*v, 'f', 1, 64))
		}
		rows = append(rows, row)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(csv.NewWriter(f).WriteAll(rows), f.Close())
}

// read takes the rounds of such a file, none when there is no file. What was measured with other versions or for another time does
// not belong beside what will be measured now.
func read(path string, o options) ([]result, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	in := csv.NewReader(f)
	in.FieldsPerRecord = len(columns)
	rows, err := in.ReadAll()
	if err != nil {
		return nil, err
	}
	var results []result
	for _, row := range rows[min(1, len(rows)):] {
		chosen, err := choose(row[1])
		if err != nil {
			return nil, err
		}
		if now := []string{chosen[0].edition(), milliseconds(o.warm), milliseconds(o.window)}; row[2] != now[0] || row[5] != now[1] || row[6] != now[2] {
			return nil, fmt.Errorf("%s: %s was measured as %q, not as %q: begin a new file", path, row[1], []string{row[2], row[5], row[6]}, now)
		}
		r := result{Engine: row[1], Mode: row[3], Load: row[4]}
		if r.Round, err = strconv.Atoi(row[0]); err != nil {
			return nil, err
		}
		for i, v := range r.values() {
			if *v, err = strconv.ParseFloat(row[7+i], 64); err != nil {
				return nil, err
			}
		}
		results = append(results, r)
	}
	return results, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
