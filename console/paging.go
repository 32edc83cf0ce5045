package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

const (
	defaultPage = 100
	maxPage     = 1000
)

// pageSize checks a page size; 0 means the default.
func pageSize(n int32) (int, error) {
	switch {
	case n == 0:
		return defaultPage, nil
	case n < 0 || n > maxPage:
		return 0, invalid("page_size %d is not within 1–%d", n, maxPage)
	}
	return int(n), nil
}

// queryBytes is how much of a query's hash a page token carries.
const queryBytes = 8

// fingerprint of a query, whose page token and page size must have been cleared: they may change from page to page.
func fingerprint(query proto.Message) ([]byte, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(query)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(append([]byte(query.ProtoReflect().Descriptor().FullName()), data...))
	return sum[:queryBytes], nil
}

// pageToken is opaque to callers: the query it belongs to, and a place in its listing.
func pageToken(query, place []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(bytes.Clone(query), place...))
}

// place returns the place that a token stands for.
func place(query []byte, token string) ([]byte, error) {
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) < queryBytes {
		return nil, invalid("page_token %q was not made by this API", shorten(token))
	}
	if !bytes.Equal(data[:queryBytes], query) {
		return nil, invalid("the page_token belongs to another query: repeat the fields of the request that it was returned for, or begin without a token")
	}
	return data[queryBytes:], nil
}

func (p *Position) bytes() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(p.StartedAt.UnixMicro())), p.ID...)
}

func position(place []byte) (*Position, error) {
	if len(place) < 8 {
		return nil, invalid("the page_token is cut off")
	}
	return &Position{StartedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(place))).UTC(), ID: string(place[8:])}, nil
}

func number(place []byte) (int64, error) {
	if len(place) != 8 {
		return 0, invalid("the page_token is cut off")
	}
	return int64(binary.BigEndian.Uint64(place)), nil
}

func numberBytes(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

var errEmptyID = connect.NewError(connect.CodeInvalidArgument, errors.New("id is empty"))
