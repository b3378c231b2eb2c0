package reqws

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// param is one name of the query, with its values as text.
type param struct {
	name   string
	values []string
}

// PathStyle says how path parameters are written in the URL's path.
type PathStyle uint8

const (
	Colon PathStyle = iota // :name, the default
	Curly                  // {name}
)

// Params sets the parameters that are appended to the URL's query, in the order
// of their names. Given twice it holds name by name: a later value stands in place of
// an earlier one, and nil takes one back.
//
// Values are written when the option is made. A slice or array gives its name
// several times, without those of its items that are nil. A pointer counts as what it
// points to. A time.Time is written in RFC 3339. A []byte, and a type made of it such
// as json.RawMessage, is the text it holds. A float is a plain decimal without
// exponent. A fmt.Stringer, an error, a string, a number and a bool are as fmt.Sprint
// writes them. Anything else (maps, functions, channels, other structs, slices of
// slices) is refused.
func Params(p map[string]any) Option {
	var opts []Option
	for _, name := range slices.Sorted(maps.Keys(p)) {
		one, err := queryParam(name, p[name])
		opts = append(opts, fallible("Params("+name+")", func(c *config) error {
			if err == nil {
				c.target.setParam(one)
			}
			return err
		}))
	}
	return Options(opts...)
}

// Param adds one parameter to the query, behind those of [Params], with its value
// written as there. It adds to what earlier Param options gave, also under the same
// name.
func Param(name string, value any) Option {
	p, err := queryParam(name, value)
	return fallible("Param("+name+")", func(c *config) error {
		if err == nil {
			c.target.extraParams = append(c.target.extraParams, p)
		}
		return err
	}).adding()
}

// PathParams sets what stands for :name (or {name}, see [PathParamsStyle]) in
// the path of the [URL]. Names match [A-Za-z]\w*. A value is written as [Params]
// writes one, and percent-encoded but for unreserved characters (RFC 3986, section
// 2.3), so that a slash in it stays one path segment. Values that would make a
// segment "." or ".." are an error of the execution, since no encoding keeps a
// server from going up the path for them. Names in the path that p does not hold
// are left as they are; but where p also holds a name that the path does not have, one
// is taken for the other, misspelt, and the execution fails. nil and slices are
// refused. Given twice, the later option stands as a whole.
func PathParams(p map[string]any) Option {
	params, err := pathParams(p)
	return fallible("PathParams", func(c *config) error {
		if err == nil {
			c.target.pathParams = params
		}
		return err
	})
}

// PathParamsStyle says how path parameters are written: [Colon], the default,
// or [Curly].
func PathParamsStyle(s PathStyle) Option {
	return checked("PathParamsStyle", s, func(s PathStyle) error {
		if s > Curly {
			return fmt.Errorf("unknown style %d", s)
		}
		return nil
	}, func(c *config, s PathStyle) { c.target.pathStyle = s })
}

var (
	paramName  = regexp.MustCompile(`^[A-Za-z]\w*$`)
	colonParam = regexp.MustCompile(`:[A-Za-z]\w*`)
	curlyParam = regexp.MustCompile(`\{[A-Za-z]\w*\}`)
)

// expand puts the path parameters into the template.
func (t *targetConfig) expand(template string) (string, error) {
	if len(t.pathParams) == 0 {
		return template, nil
	}
	pattern := colonParam
	if t.pathStyle == Curly {
		pattern = curlyParam
	}
	unused := maps.Clone(t.pathParams)
	var unfilled []string
	segments := strings.Split(template, "/")
	for i, segment := range segments {
		expanded := pattern.ReplaceAllStringFunc(segment, func(m string) string {
			name := strings.Trim(m, ":{}")
			value, ok := t.pathParams[name]
			if !ok {
				unfilled = append(unfilled, m)
				return m
			}
			delete(unused, name)
			return escapeBytes(value, isUnreserved)
		})
		if expanded != segment && isDotSegment(expanded) {
			// No escape keeps "." and ".." from being taken for a path up the
			// tree: %2E is the same character to any server (RFC 3986, section 6.2.2.2).
			return "", fmt.Errorf("option PathParams: the values of %s make the path segment %q", segment, expanded)
		}
		segments[i] = expanded
	}
	if len(unused) > 0 && len(unfilled) > 0 { // most often one is the other, misspelt
		return "", fmt.Errorf("option PathParams: the path does not use %s, and has no value for %s",
			strings.Join(slices.Sorted(maps.Keys(unused)), ", "), strings.Join(unfilled, ", "))
	}
	return strings.Join(segments, "/"), nil
}

func isDotSegment(s string) bool {
	s = strings.ReplaceAll(strings.ToLower(s), "%2e", ".")
	return s == "." || s == ".."
}

// pathParams takes in what [PathParams] is given.
func pathParams(p map[string]any) (map[string]string, error) {
	params := make(map[string]string, len(p))
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if !paramName.MatchString(name) {
			return nil, fmt.Errorf("%q is no name: a letter, then letters, digits and underscores", name)
		}
		text, err := textOf(p[name], urlDate)
		if err != nil {
			return nil, fmt.Errorf("%s is %w", name, err)
		}
		params[name] = text
	}
	return params, nil
}

// query writes what Params and Param gave.
func (t *targetConfig) query() string {
	var pairs []string
	add := func(name string, values []string) {
		for _, v := range values {
			pairs = append(pairs, url.QueryEscape(name)+"="+url.QueryEscape(v))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.params)) {
		add(name, t.params[name])
	}
	for _, p := range t.extraParams {
		add(p.name, p.values)
	}
	return strings.Join(pairs, "&")
}

// setParam replaces what an earlier Params gave under the name.
func (t *targetConfig) setParam(p param) {
	if t.params == nil {
		t.params = make(map[string][]string)
	}
	t.params[p.name] = p.values
}

func queryParam(name string, v any) (param, error) {
	if name == "" {
		return param{}, errors.New("a name is empty")
	}
	values, err := textsOf(v, urlDate)
	if err != nil {
		return param{}, fmt.Errorf("%s is %w", name, err)
	}
	return param{name, values}, nil
}
