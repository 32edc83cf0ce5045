package messages

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// payload has what a payload usually has.
type payload struct {
	Lines []line            `json:"lines"`
	Card  *string           `json:"card,omitempty"`
	Notes map[string]string `json:"notes,omitempty"`
	Cents int64             `json:"cents"`
}

type line struct {
	SKU   string  `json:"sku"`
	Grams float64 `json:"grams"`
}

// FuzzDecode: a payload is refused, or it is the same after it was stored; what FromJSON takes from a person, Decode reads too.
func FuzzDecode(f *testing.F) {
	for _, data := range []string{
		`{"lines":[{"sku":"a","grams":1e3}],"card":"4111","cents":-1}`, `{"cents":9223372036854775807}`, `{"cents":1.5}`, `{"unknown":1}`,
		`{} {}`, `null`, `"x"`, `{"notes":{"` + "\xff" + `":"é"}}`, ``, `{"lines":[`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode[payload](data)
		strict, refused := FromJSON[payload](data)
		if err != nil {
			require.Error(t, refused)
			return
		}
		if refused == nil {
			require.Equal(t, v, strict)
		}
		stored, err := Encode(v)
		require.NoError(t, err)
		again, err := Decode[payload](stored)
		require.NoError(t, err)
		twice, err := Encode(again)
		require.NoError(t, err)
		require.Equal(t, string(stored), string(twice))
	})
}
