package main

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said is a message of the protocol; typ 0: the first of a connection, which has none.
func said(typ byte, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(body)))
	if typ != 0 {
		b = append([]byte{typ}, b...)
	}
	return append(b, body...)
}

// talk is a connection that prepares a commit and makes it, up to its Sync.
func talk() []byte {
	all := said(0, "\x00\x03\x00\x00user\x00x\x00\x00")
	all = append(all, said('P', "s1\x00INSERT INTO sagaz.journal VALUES ($1)\x00")...)
	all = append(all, said('S', "")...)
	all = append(all, said('B', "\x00s1\x00")...)
	return append(all, said('E', "\x00")...)
}

func TestATrapClosesAtItsMomentHoweverTheBytesCome(t *testing.T) {
	t.Parallel()
	sync, ready := said('S', ""), said('Z', "I")
	for _, size := range []int{1, 3, 7, 1 << 10} {
		for _, when := range []moment{before, sent, answered} {
			w, acted := &wiretap{}, 0
			w.arm(&trap{kind: commitKind, moment: when, act: func() { acted++ }, fired: make(chan struct{})})
			s := w.tap()
			whole, passed := append(talk(), sync...), 0
			cut := false
			for at := 0; at < len(whole) && !cut; at += size {
				var pass []byte
				pass, cut = s.Up(whole[at:min(at+size, len(whole))])
				passed += len(pass)
			}
			require.Equal(t, when != answered, cut)
			switch when {
			case before:
				require.Less(t, passed, len(whole), "the server never gets the whole of it")
			case sent:
				require.Equal(t, len(whole), passed)
			case answered:
				_, cut = s.Down(ready) // of the statement's preparation
				require.False(t, cut)
				_, cut = s.Down(ready)
				require.True(t, cut)
			}
			require.Equal(t, 1, acted)
		}
	}
}

func TestATrapWaitsForItsKind(t *testing.T) {
	t.Parallel()
	w := &wiretap{}
	w.arm(&trap{kind: claimKind, moment: sent, act: func() { t.Error("it closed") }, fired: make(chan struct{})})
	_, cut := w.tap().Up(append(talk(), said('S', "")...))
	require.False(t, cut)
	require.Equal(t, handlerKind, kindOf("commit;"))
	require.Equal(t, relayKind, kindOf("DELETE FROM sagaz.outbox WHERE ctid = $1"))
	require.Equal(t, relayKind, kindOf("DELETE FROM sagaz.outbox_batches WHERE pos = $1"))
	require.Empty(t, kindOf("SELECT 1"))
}
