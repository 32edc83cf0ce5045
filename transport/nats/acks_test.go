package nats

import (
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

const confirmed = `{"stream":"ORDERS","seq":7}`

func answerTo(r *round, message int, data string) *natsgo.Msg {
	return &natsgo.Msg{Subject: r.reply(message), Data: []byte(data)}
}

func TestVerdictOfAnAnswer(t *testing.T) {
	t.Parallel()
	const tooLarge = `"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}`
	for data, want := range map[string]error{
		confirmed: nil,
		`{"stream":"ORDERS","domain":"hub","seq":7,"duplicate":true}`: nil,
		`{"stream":"error","seq":7}`:                                  nil,
		`{"seq":7,"stream":"ORDERS"}`:                                 nil,
		`{"stream":"","seq":0}`:                                       natsgo.ErrInvalidJSAck,
		`{"stream":"ORDERS","seq"`:                                    natsgo.ErrInvalidJSAck,
		`{}`:                                                          natsgo.ErrInvalidJSAck,
		``:                                                            natsgo.ErrInvalidJSAck,
	} {
		require.ErrorIs(t, verdictOf(&natsgo.Msg{Data: []byte(data)}), want, data)
	}
	for _, data := range []string{`{` + tooLarge + `,"stream":"ORDERS","seq":0}`, `{"stream":"ORDERS",` + tooLarge + `,"seq":0}`} {
		var refusal *natsgo.APIError
		require.ErrorAs(t, verdictOf(&natsgo.Msg{Data: []byte(data)}), &refusal, data)
		require.Equal(t, tooBig, refusal.ErrorCode)
	}
	nobody := natsgo.NewMsg("x")
	nobody.Header.Set("Status", "503")
	require.ErrorIs(t, verdictOf(nobody), natsgo.ErrNoResponders)
}

func TestARoundEndsWithTheErrorOfItsFirstMessageThatFailed(t *testing.T) {
	t.Parallel()
	a := newAcks(time.Hour)
	r, other := a.open(4), a.open(1)
	a.hear(answerTo(r, 3, `{"error":{"err_code":3},"stream":"","seq":0}`))
	a.hear(answerTo(r, 1, `{"error":{"err_code":1},"stream":"","seq":0}`))
	a.hear(answerTo(r, 1, confirmed)) // a second answer changes nothing
	a.hear(answerTo(r, 0, confirmed))
	for _, stray := range []string{"x", a.prefix + "zz.0", a.prefix + r.number + ".9", a.prefix + r.number + ".-1", a.prefix + r.number} {
		a.hear(&natsgo.Msg{Subject: stray, Data: []byte(confirmed)})
	}
	select {
	case <-r.done:
		require.Fail(t, "message 2 has not been answered")
	default:
	}
	a.hear(answerTo(r, 2, confirmed))
	var refusal *natsgo.APIError
	require.ErrorAs(t, a.wait(r), &refusal)
	require.EqualValues(t, 1, refusal.ErrorCode)
	a.hear(answerTo(other, 0, confirmed))
	require.NoError(t, a.wait(other))
	require.Empty(t, a.waiting, "nothing is kept of rounds that have ended")
}

func TestWhatWasNotSentIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	a := newAcks(time.Hour)
	r := a.open(3)
	a.only(r, 1)
	a.hear(answerTo(r, 0, confirmed))
	require.NoError(t, a.wait(r))
}

func TestARoundWithoutAnswersFails(t *testing.T) {
	t.Parallel()
	a := newAcks(time.Nanosecond)
	r := a.open(2)
	a.hear(answerTo(r, 0, confirmed))
	require.ErrorIs(t, a.wait(r), natsgo.ErrTimeout)
	a.timeout = time.Hour
	r = a.open(2)
	a.hear(answerTo(r, 1, confirmed))
	a.lost()
	require.ErrorIs(t, a.wait(r), natsgo.ErrDisconnected)
	require.Empty(t, a.waiting)
}
