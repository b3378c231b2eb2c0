package reqws

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"
)

// The two ways in which a time is written: in a URL and in a header.
func urlDate(t time.Time) string  { return t.Format(time.RFC3339Nano) }
func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) } // RFC 9110, section 5.6.7

// textsOf writes what an option was given as text: nothing for nil, several for a
// slice or an array, where nil is left out, else one. The errors here complete a
// sentence: "x is …".
func textsOf(v any, date func(time.Time) string) ([]string, error) {
	rv := pointee(reflect.ValueOf(v))
	switch {
	case isNothing(rv):
		return nil, nil
	case !isList(rv):
		one, err := writeText(rv, date)
		if err != nil {
			return nil, err
		}
		return []string{one}, nil
	}
	all := make([]string, 0, rv.Len())
	for i := range rv.Len() {
		item := pointee(rv.Index(i))
		if isNothing(item) {
			continue
		}
		one, err := writeText(item, date)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// textOf writes the one value that v must be.
func textOf(v any, date func(time.Time) string) (string, error) {
	rv := pointee(reflect.ValueOf(v))
	if isNothing(rv) {
		return "", errors.New("nil")
	}
	return writeText(rv, date)
}

// writeText writes what pointee has led to.
func writeText(rv reflect.Value, date func(time.Time) string) (string, error) {
	if t, ok := rv.Interface().(time.Time); ok {
		return date(t), nil
	}
	if writesItself(rv) {
		return fmt.Sprint(rv.Interface()), nil
	}
	switch rv.Kind() {
	case reflect.Float32, reflect.Float64:
		// Plain decimals: fmt would give an exponent to large and small ones.
		return strconv.FormatFloat(rv.Float(), 'f', -1, rv.Type().Bits()), nil
	case reflect.Slice, reflect.Array:
		if isBytes(rv) {
			b := make([]byte, rv.Len())
			reflect.Copy(reflect.ValueOf(b), rv)
			return string(b), nil
		}
	case reflect.String, reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return fmt.Sprint(rv.Interface()), nil
	}
	return "", fmt.Errorf("of the type %v, which cannot be written as text", rv.Type())
}

// maxPointers ends the way along pointers that lead in a circle.
const maxPointers = 16

// pointee goes along pointers and interfaces to what can be written. That is a
// pointer where it alone has the method that does so, as *big.Int has.
func pointee(rv reflect.Value) reflect.Value {
	for range maxPointers {
		if k := rv.Kind(); k != reflect.Pointer && k != reflect.Interface || rv.IsNil() || k == reflect.Pointer && writesItself(rv) {
			break
		}
		rv = rv.Elem()
	}
	return rv
}

// isNothing tells nil of any type.
func isNothing(rv reflect.Value) bool { return !rv.IsValid() || isNil(rv.Interface()) }

// writesItself tells what fmt.Sprint asks for its text. A pointer to a time is not
// among it: its text would be neither of the two.
func writesItself(rv reflect.Value) bool {
	switch rv.Interface().(type) {
	case time.Time, *time.Time:
		return false
	case fmt.Formatter, fmt.Stringer, error:
		return true
	}
	return false
}

// isList tells what is several values, rather than text in bytes.
func isList(rv reflect.Value) bool {
	k := rv.Kind()
	return (k == reflect.Slice || k == reflect.Array) && !isBytes(rv) && !writesItself(rv)
}

// isBytes tells []byte, and types made of it such as json.RawMessage. A slice of a
// named kind of byte is none: that is a list of numbers, of an enumeration say.
func isBytes(rv reflect.Value) bool {
	k := rv.Kind()
	return (k == reflect.Slice || k == reflect.Array) && rv.Type().Elem() == reflect.TypeFor[byte]()
}
