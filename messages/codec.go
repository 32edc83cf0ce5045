package messages

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Encode turns a payload into bytes: a proto.Message as deterministic protobuf, anything else as JSON.
// Equal values give equal bytes.
func Encode(v any) ([]byte, error) {
	if m, ok := v.(proto.Message); ok {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encode %T as protobuf: %w", v, err)
		}
		return data, nil
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T as JSON: %w", v, err)
	}
	return data, nil
}

// Decode is the inverse of Encode. T may be a proto.Message (a pointer) or any type that JSON can carry.
func Decode[T any](data []byte) (T, error) {
	var v T
	if _, ok := any(v).(proto.Message); ok {
		m := reflect.New(reflect.TypeFor[T]().Elem()).Interface().(proto.Message)
		if err := proto.Unmarshal(data, m); err != nil {
			return v, fmt.Errorf("decode %s as protobuf: %w", reflect.TypeFor[T](), err)
		}
		return m.(T), nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode %s as JSON: %w", reflect.TypeFor[T](), err)
	}
	return v, nil
}

// FromJSON decodes what a person or a program in another language wrote as JSON: a proto.Message in protobuf's JSON mapping, anything else as
// encoding/json does, and refuses fields that T does not have.
func FromJSON[T any](data []byte) (T, error) {
	var v T
	if _, ok := any(v).(proto.Message); ok {
		m := reflect.New(reflect.TypeFor[T]().Elem()).Interface().(proto.Message)
		if err := protojson.Unmarshal(data, m); err != nil {
			return v, fmt.Errorf("read %s from JSON: %w", reflect.TypeFor[T](), err)
		}
		return m.(T), nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("read %s from JSON: %w", reflect.TypeFor[T](), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return v, fmt.Errorf("read %s from JSON: something follows the value", reflect.TypeFor[T]())
	}
	return v, nil
}

var (
	protoMessage    = reflect.TypeFor[proto.Message]()
	jsonMarshaler   = reflect.TypeFor[json.Marshaler]()
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// CheckType says why the codec cannot carry values of t there and back; nil when it can.
func CheckType(t reflect.Type) error { return checkType(t, t.String(), map[reflect.Type]bool{}) }

func checkType(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	if seen[t] || t.Implements(protoMessage) || carriesItself(t) {
		return nil
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("the codec cannot carry %s: %s has no JSON form", path, t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("the codec cannot carry %s: an interface (%s) cannot be decoded", path, t)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return checkType(t.Elem(), path, seen)
	case reflect.Map:
		if k := t.Key(); k.Kind() != reflect.String && !isInteger(k.Kind()) && !k.Implements(textMarshaler) {
			return fmt.Errorf("the codec cannot carry %s: a map key of type %s has no JSON form", path, k)
		}
		return checkType(t.Elem(), path, seen)
	case reflect.Struct:
		return checkStruct(t, path, seen)
	}
	return nil
}

func checkStruct(t reflect.Type, path string, seen map[reflect.Type]bool) error {
	exported := 0
	for f := range t.Fields() {
		if !f.IsExported() && !f.Anonymous {
			continue
		}
		exported++
		if f.Tag.Get("json") == "-" {
			continue
		}
		if err := checkType(f.Type, path+"."+f.Name, seen); err != nil {
			return err
		}
	}
	if exported == 0 && t.NumField() > 0 {
		return fmt.Errorf("the codec cannot carry %s: %s has no exported field, its content would be lost", path, t)
	}
	return nil
}

func carriesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return (t.Implements(jsonMarshaler) || p.Implements(jsonMarshaler)) && p.Implements(jsonUnmarshaler) ||
		(t.Implements(textMarshaler) || p.Implements(textMarshaler)) && p.Implements(textUnmarshaler)
}

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uint64 }
