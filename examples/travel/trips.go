package travel

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"
	"sync"
)

//go:embed trips.csv
var tripsCSV string

// Trips returns the trips of trips.csv.
var Trips = sync.OnceValue(func() []BookTrip {
	rows, err := csv.NewReader(strings.NewReader(tripsCSV)).ReadAll()
	if err != nil {
		panic(fmt.Sprintf("trips.csv: %v", err))
	}
	var trips []BookTrip
	for _, row := range rows[1:] { // id, traveller, flight, hotel, car
		trips = append(trips, BookTrip{Traveller: row[1], Flight: row[2], Hotel: row[3], Car: row[4]})
	}
	return trips
})
