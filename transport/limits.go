package transport

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of an event. They keep it below what brokers take by default (NATS: 1 MiB with the headers; Kafka: 1 MiB a batch; topics of 249 bytes),
// so that it is refused to whoever makes it, and not by the broker when nobody is there any more to hear of it.
const (
	MaxDataBytes       = 1<<20 - 32<<10
	MaxAttributesBytes = 16 << 10 // of all names and values together
	MaxTopicBytes      = 200
	maxNameBytes       = 20
)

// IsAttribute says whether a key of a message's metadata is the name of a context attribute: 1–20 bytes of a–z and 0–9.
func IsAttribute(key string) bool {
	if key == "" || len(key) > maxNameBytes {
		return false
	}
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// CheckTopic refuses a topic that not every broker takes: it is 1–200 bytes of letters, digits, '-', '_' and, between others, '.'.
func CheckTopic(topic string) error {
	if topic == "" {
		return fmt.Errorf("the topic is empty")
	}
	if len(topic) > MaxTopicBytes {
		return fmt.Errorf("the topic %.40q… has %d bytes, the limit is %d", topic, len(topic), MaxTopicBytes)
	}
	for part := range strings.SplitSeq(topic, ".") {
		if part == "" {
			return fmt.Errorf("the topic %q begins or ends with a dot, or has two in a row", topic)
		}
	}
	for _, r := range topic {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		default:
			return fmt.Errorf("the topic %q contains %q: use letters, digits, '.', '-' and '_'", topic, r)
		}
	}
	return nil
}

// Validate says why the event cannot be sent: a topic or an attribute that is missing or malformed, or a size over its limit.
func (e Event) Validate() error {
	if err := CheckTopic(e.Topic); err != nil {
		return err
	}
	for _, required := range []string{AttrID, AttrSource, AttrType} {
		if *e.fields()[required] == "" {
			return fmt.Errorf("an event for topic %s has no %s", e.Topic, required)
		}
	}
	if e.Time.IsZero() {
		return fmt.Errorf("event %s for topic %s has no time", e.ID, e.Topic)
	}
	if err := e.checkAttributes(); err != nil {
		return fmt.Errorf("event %s for topic %s: %w", e.ID, e.Topic, err)
	}
	if len(e.Data) > MaxDataBytes {
		return fmt.Errorf("event %s for topic %s has %d bytes of data, the limit is %d: store them where the consumers reach them and send a reference",
			e.ID, e.Topic, len(e.Data), MaxDataBytes)
	}
	return nil
}

func (e Event) checkAttributes() error {
	fields, size := e.fields(), 0
	for name, value := range fields {
		if err := checkValue(name, *value); err != nil {
			return err
		}
		size += len(name) + len(*value)
	}
	for name, value := range e.Extensions {
		switch {
		case !IsAttribute(name):
			return fmt.Errorf("the name of extension %q is not 1–%d bytes of a–z and 0–9", name, maxNameBytes)
		case fields[name] != nil, name == AttrTime, name == AttrSpecVersion, name == "data":
			return fmt.Errorf("the extension %q has the name of another attribute", name)
		case value == "":
			return fmt.Errorf("the extension %q is empty: leave it out", name)
		}
		if err := checkValue(name, value); err != nil {
			return err
		}
		size += len(name) + len(value)
	}
	if size > MaxAttributesBytes {
		return fmt.Errorf("its attributes have %d bytes, the limit is %d", size, MaxAttributesBytes)
	}
	return nil
}

// checkValue refuses what CloudEvents does: a text that is not UTF-8 or holds control characters.
func checkValue(name, value string) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("the attribute %s is not valid UTF-8: %q", name, value)
	}
	for _, r := range value {
		if unicode.IsControl(r) {
			return fmt.Errorf("the attribute %s contains the control character %U", name, r)
		}
	}
	return nil
}
