package topics

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sagaz/sagaz/messages/sagazpb"
)

// What docs/protocol.md shows is what Encode writes and Decode reads.
func TestTheProtocolsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/protocol.md")
	require.NoError(t, err)
	commands, replies := 0, map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1) {
		var m command
		strict := json.NewDecoder(bytes.NewReader(block[1]))
		strict.DisallowUnknownFields()
		if strict.Decode(&m) != nil {
			r, err := Decode(block[1])
			require.NoError(t, err, string(block[1]))
			replies[r.Outcome.String()] = true
			continue
		}
		sent := m.Deadline.AddDate(0, 0, -1)
		data, err := Encode(&sagazpb.Command{
			SagaId: m.Saga, Step: m.Step, Key: m.Key, Participant: m.Participant, Action: m.Action, Payload: m.Payload, Attempt: m.Attempt,
			Compensation: m.Compensation, TimeToLiveUs: m.Deadline.Sub(sent).Microseconds(),
		}, sent, m.ReplyTo)
		require.NoError(t, err)
		require.JSONEq(t, string(data), string(block[1]))
		commands++
	}
	require.Equal(t, 2, commands)
	require.Len(t, replies, len(outcomes))
}
