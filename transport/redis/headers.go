package redis

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/sagaz/sagaz/transport"
)

// CloudEvents defines no binding for Redis: an entry has the attributes under their own names, and the payload in the field data, as in the JSON form of an
// event. Any client can read that; Watermill's own form packs the metadata.
var headers transport.Headers

const payloadField = "data"

// marshaler turns messages into entries of a stream and back.
type marshaler struct{}

func (marshaler) Marshal(_ string, m *message.Message) (map[string]any, error) {
	entry := map[string]any{}
	headers.Encode(m, func(key, value string) { entry[key] = value })
	entry[payloadField] = []byte(m.Payload)
	return entry, nil
}

func (marshaler) Unmarshal(entry map[string]any) (*message.Message, error) {
	d := headers.Decoder()
	var payload []byte
	for key, value := range entry {
		text, ok := value.(string)
		if !ok {
			text = fmt.Sprint(value)
		}
		if key == payloadField {
			payload = []byte(text)
			continue
		}
		d.Header(key, text)
	}
	return d.Message(payload), nil
}
