package reqws

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// An Option sets one thing of a [Request]. Options are values made by the
// functions of this package; they may be kept, shared and given to [New],
// [Request.With], [Request.Do], [Request.Run] and [Request.Dial] alike. The package
// page lists them in their groups.
//
// Given twice, the later one stands; of [Header], [Headers] and [Params] that holds
// name by name, while [Param], [Wrap], [Use] and [UseOuter] add. A bad value is reported
// by Do, Run and Dial as an error that names the option. The zero Option does nothing.
type Option struct {
	name  string
	apply func(*config) error
}

// config is what the options of one Request come to. It is never changed after
// it was built: [config.with] works on a copy.
type config struct {
	errs map[string]error // by option; a later good value takes the error back

	// request
	url          string
	baseURL      func() string
	header       http.Header
	params       map[string][]string
	extraParams  []param
	pathParams   map[string]string
	pathStyle    PathStyle
	method       string
	body         *requestBody
	jar          http.CookieJar
	subprotocols []string

	secretProtocol string // a subprotocol that is a credential

	// auth, AWS
	auth  Step
	sigV4 *SigV4

	into intoConfig

	// redirect
	noRedirect       bool
	redirectTrusted  bool
	maxRedirects     int
	redirectLogLevel slog.Level

	// errors, retry
	httpErrors    HTTPErrorMode
	retryMode     RetryMode
	retryFunc     func(*http.Request, *http.Response, error) RetryDecision
	retryDelay    func(n int) time.Duration
	retryBackOff  func() backoff.BackOff
	maxRetries    int
	retryLogLevel slog.Level
	logger        *slog.Logger // nil: slog.Default() at the time of use
	silent        bool

	connect connectConfig

	life lifeConfig

	// steps
	steps      []Step
	outerSteps []Step

	dials bool // for Dial, to which http and https are WebSockets, too
}

// param is one name of the query, with its values as text.
type param struct {
	name   string
	values []string
}

func defaults() *config {
	return &config{
		method:           http.MethodGet,
		into:             intoConfig{maxMessage: 16 << 20},
		maxRedirects:     10,
		redirectLogLevel: slog.LevelDebug,
		maxRetries:       3,
		retryLogLevel:    slog.LevelWarn,
		connect:          connectConfig{timeout: 30 * time.Second, protocols: []Protocol{HTTP1, HTTP2}},
		life:             lifeConfig{writeTimeout: 30 * time.Second, closeTimeout: 5 * time.Second},
	}
}

// with returns a copy of c that opts have been applied to. What options add to
// is copied first, so that two Requests never share a map or spare capacity.
func (c *config) with(opts []Option) *config {
	if c == nil { // of the zero Request
		c = defaults()
	}
	if len(opts) == 0 && c.connect.own != nil {
		return c
	}
	d := *c
	d.errs = maps.Clone(c.errs)
	d.header = c.header.Clone()
	d.params = maps.Clone(c.params)
	d.extraParams = slices.Clip(c.extraParams)
	d.steps = slices.Clip(c.steps)
	d.outerSteps = slices.Clip(c.outerSteps)
	d.into.wraps = slices.Clip(c.into.wraps)
	for _, o := range opts {
		d.set(o)
	}
	if d.connect.own == nil {
		d.connect.own = d.connect.newTransport()
	}
	return &d
}

func (c *config) set(o Option) {
	if o.apply == nil {
		return
	}
	if err := o.apply(c); err != nil {
		if c.errs == nil {
			c.errs = make(map[string]error)
		}
		c.errs[o.subject()] = fmt.Errorf("reqws: option %s: %w", o.name, err)
		return
	}
	if !o.adds() {
		delete(c.errs, o.subject())
	}
	if o.connects() {
		c.connect.own = nil
	}
}

// subject names what o sets. Several options may set the same, and then the later
// of them stands.
func (o Option) subject() string {
	switch o.name {
	case "BaseURLFunc":
		return "BaseURL"
	case "IntoMailbox":
		return "Into"
	case "JSONBody":
		return "Body"
	case "ProxyURL":
		return "Proxy"
	case "RetryBackOff":
		return "RetryDelay"
	case "RetryFunc":
		return "Retry"
	}
	return o.name
}

// adds reports whether o takes nothing back of what others of its name gave, an
// error included.
func (o Option) adds() bool {
	switch o.name {
	case "Use", "UseOuter", "Wrap":
		return true
	}
	return strings.HasPrefix(o.name, "Param(")
}

// connects reports whether o changes what the transport is made of.
func (o Option) connects() bool {
	switch o.name {
	case "ConnectTimeout", "Protocols", "Hostname", "TLSConfig", "DialContext", "Proxy", "ProxyURL", "ProxyHeader", "HTTP2Settings":
		return true
	}
	return false
}

// err joins what was wrong with the options, in the order of their names.
func (c *config) err() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.errs)) {
		errs = append(errs, c.errs[name])
	}
	return errors.Join(errs...)
}

// log returns where this Request logs to, or nil where it is to be silent.
func (c *config) log() *slog.Logger {
	if c.silent {
		return nil
	}
	return cmp.Or(c.logger, slog.Default())
}

func option(name string, apply func(*config)) Option {
	return Option{name, func(c *config) error { apply(c); return nil }}
}

func checked[T any](name string, v T, check func(T) error, set func(*config, T)) Option {
	return Option{name, func(c *config) error {
		if err := check(v); err != nil {
			return err
		}
		set(c, v)
		return nil
	}}
}

func notNegative[N int | time.Duration](n N) error {
	if n < 0 {
		return fmt.Errorf("%v is negative", n)
	}
	return nil
}

func countOrNoBound(n int) error {
	if n < -1 {
		return fmt.Errorf("%d is neither a count nor -1", n)
	}
	return nil
}

// Options groups several options into one, applied in order. It is how a
// plugin is made: a function that returns Options(...).
func Options(opts ...Option) Option {
	opts = slices.Clone(opts)
	return option("Options", func(c *config) {
		for _, o := range opts {
			c.set(o)
		}
	})
}

// Request

// PathStyle says how path parameters are written in the URL's path.
type PathStyle uint8

const (
	Colon PathStyle = iota // :name, the default
	Curly                  // {name}
)

// URL sets what to connect to: ws or wss for a WebSocket, http or https for a
// plain HTTP request. It may be relative where [BaseURL] gives the rest, and its
// path may hold parameters for [PathParams]. Userinfo in it becomes Basic
// credentials, unless [Auth] or an Authorization header is given, and is never sent
// as part of the URL. A fragment, here or in BaseURL, is an error with ws and wss (RFC
// 6455, section 3), and left off with http and https.
func URL(u string) Option {
	return option("URL", func(c *config) { c.url = u })
}

// BaseURL sets what a relative [URL] is joined to, with exactly one slash
// between their paths; the query of the base comes before that of the URL. An
// absolute URL ignores it.
func BaseURL(u string) Option {
	return option("BaseURL", func(c *config) { c.baseURL = func() string { return u } })
}

// BaseURLFunc is [BaseURL] with a function that is asked on every attempt,
// from the goroutine that connects.
func BaseURLFunc(f func() string) Option {
	return checked("BaseURLFunc", f, notNilFunc, func(c *config, f func() string) { c.baseURL = f })
}

func notNilFunc[F any](f F) error {
	if isNil(f) {
		return errors.New("the function is nil")
	}
	return nil
}

// noNilPointer refuses an interface that is not nil, but holds nothing to call.
func noNilPointer[I any](v I) error {
	if any(v) != nil && isNil(v) {
		return fmt.Errorf("it is a nil %T", v)
	}
	return nil
}

// isNil reports whether v is nil, or holds a nil function, pointer, map, slice or
// channel.
func isNil(v any) bool {
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Func, reflect.Pointer, reflect.Map, reflect.Slice, reflect.Chan, reflect.Interface:
		return rv.IsNil()
	}
	return false
}

// Header sets one header of the request. An underscore in name is sent as a
// hyphen (user_agent is User-Agent). The value is written as [Params] writes one, but
// for a time.Time, which becomes an HTTP date (RFC 9110, section 5.6.7): a slice gives
// several fields of that name, nil none at all. Refused are a name that is no
// token, a value with CR, LF, NUL or another control character, and the headers
// that the handshake itself writes: Connection, Upgrade, Content-Length,
// Transfer-Encoding, and those of Sec-WebSocket but for Sec-WebSocket-Protocol, for
// which [Subprotocols] counts where it is given. The name Host sets the request's
// Host.
//
// Given again, also by [Headers] and in another case, the later one stands; with nil
// it takes the header back. On a redirect to another origin few headers are sent, and
// Host is not: see [RedirectTrusted].
func Header(name string, value any) Option {
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	values, err := headerValues(value)
	return Option{headerOption(name), func(c *config) error {
		if err != nil {
			return err
		}
		if err := checkHeader(name, values); err != nil {
			return err
		}
		c.setHeader(name, values)
		return nil
	}}
}

// Headers sets each header in h, with its name as it is written there: steps find
// it under its canonical name, the server gets it in that spelling. (Over HTTP/2 all
// names are in lower case, and User-Agent and a few others that net/http itself looks
// for are always written so.) The map is copied. Two spellings of one name are an
// error. See [Header] for what else is refused.
func Headers(h http.Header) Option {
	h = h.Clone()
	return Option{"Headers", func(c *config) error {
		if err := checkHeaders(h); err != nil {
			return err
		}
		for name, values := range h {
			c.setHeader(name, values)
		}
		return nil
	}}
}

// setHeader replaces a header whatever the case its name was given in before.
func (c *config) setHeader(name string, values []string) {
	if c.header == nil {
		c.header = make(http.Header)
	}
	replaceHeader(c.header, name, values)
	delete(c.errs, headerOption(http.CanonicalHeaderKey(name)))
}

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
		opts = append(opts, Option{"Params(" + name + ")", func(c *config) error {
			if err == nil {
				c.setParam(one)
			}
			return err
		}})
	}
	return Options(opts...)
}

// Param adds one parameter to the query, behind those of [Params], with its value
// written as there. It adds to what earlier Param options gave, also under the same
// name.
func Param(name string, value any) Option {
	p, err := queryParam(name, value)
	return Option{"Param(" + name + ")", func(c *config) error {
		if err == nil {
			c.extraParams = append(c.extraParams, p)
		}
		return err
	}}
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
	return Option{"PathParams", func(c *config) error {
		if err == nil {
			c.pathParams = params
		}
		return err
	}}
}

// PathParamsStyle says how path parameters are written: [Colon], the default,
// or [Curly].
func PathParamsStyle(s PathStyle) Option {
	return checked("PathParamsStyle", s, func(s PathStyle) error {
		if s > Curly {
			return fmt.Errorf("unknown style %d", s)
		}
		return nil
	}, func(c *config, s PathStyle) { c.pathStyle = s })
}

// Method sets the method of a plain http or https request; the default is GET.
// A WebSocket handshake has its own method and ignores it.
func Method(m string) Option {
	return checked("Method", m, func(m string) error {
		if !isToken(m) {
			return fmt.Errorf("%q is no method", m)
		}
		return nil
	}, func(c *config, m string) { c.method = m })
}

// Body sets the body of a plain http or https request and its Content-Type, which
// [Header] may replace, and which an empty contentType leaves off. The bytes are
// copied. They are sent again on each retry, and on a redirect with 307 or 308; one
// that makes a GET of the request (RFC 9110, section 15.4) drops them, and the headers
// that describe them. A contentType that is no media type is an error. Body("", nil)
// takes the body back. A WebSocket handshake has no body and ignores it.
//
// The method is what [Method] says, GET by default.
func Body(contentType string, body []byte) Option {
	b := &requestBody{contentType, slices.Clone(body)}
	if contentType == "" && body == nil {
		b = nil
	}
	return Option{"Body", func(c *config) error {
		if err := checkContentType(contentType); err != nil {
			return err
		}
		c.body = b
		return nil
	}}
}

// JSONBody is [Body] with v as encoding/json writes it at the time of this call, and
// the Content-Type application/json. A value that encoding/json refuses is an error.
func JSONBody(v any) Option {
	data, err := json.Marshal(v)
	return Option{"JSONBody", func(c *config) error {
		if err == nil {
			c.body = &requestBody{"application/json", data}
		}
		return err
	}}
}

// CookieJar sets where cookies are kept: one of net/http/cookiejar, say, which may be
// shared with an http.Client. It is asked on each attempt and each redirect, with
// http for ws and https for wss in the URL, and given the Set-Cookie of every answer,
// that of an opened WebSocket and of a refusal included. It alone decides what goes to
// which origin, on redirects too. Its cookies are sent behind those of a Cookie header
// of yours. It is called by the goroutine that connects, and by several at once where
// Requests are executed at once. nil takes it back.
func CookieJar(jar http.CookieJar) Option {
	return checked("CookieJar", jar, noNilPointer, func(c *config, jar http.CookieJar) { c.jar = jar })
}

// Subprotocols offers these subprotocols, the preferred one first (RFC 6455,
// section 1.9). [Response].Subprotocol is the one the server chose. One that is a
// credential belongs in [SecretSubprotocol].
func Subprotocols(names ...string) Option {
	return checked("Subprotocols", slices.Clone(names), func(names []string) error {
		for i, n := range names {
			if !isToken(n) {
				return fmt.Errorf("name %d is no token", i+1) // not shown: it may be a credential
			}
			if first := slices.Index(names, n); first < i {
				return fmt.Errorf("name %d is the same as name %d", i+1, first+1)
			}
		}
		return nil
	}, func(c *config, names []string) { c.subprotocols = names })
}

// SecretSubprotocol offers one more subprotocol, behind those of [Subprotocols], that
// is a credential: servers made for browsers take tokens in this way, such as
// base64url.bearer.authorization.k8s.io.TOKEN. It must be a token of RFC 9110, section
// 5.6.2, as base64url is without its =. No text, log line or error of this package
// shows it, and a redirect to another origin leaves it behind (see [RedirectTrusted]).
// [Response].Subprotocol holds it where the server chooses it.
func SecretSubprotocol(name string) Option {
	return checked("SecretSubprotocol", name, func(name string) error {
		if !isToken(name) {
			return errors.New("it is no token")
		}
		return nil
	}, func(c *config, name string) { c.secretProtocol = name })
}

// Auth sets the credentials: one of [Basic], [Bearer], [AuthHeader], [Netrc],
// [NetrcFile] and [AuthFunc], or a step of your own. It runs on each attempt, but
// not on a redirect to another origin (see [RedirectTrusted]). nil takes
// credentials back.
func Auth(s Step) Option {
	return option("Auth", func(c *config) { c.auth = s })
}

// AWSSigV4 signs each attempt with AWS Signature Version 4, after all other
// steps. See [SigV4] for the fields and their defaults.
func AWSSigV4(s SigV4) Option {
	return checked("AWSSigV4", s, SigV4.check, func(c *config, s SigV4) { c.sigV4 = &s })
}

// Redirect

// Redirect says whether redirects are followed; the default is true.
func Redirect(follow bool) Option {
	return option("Redirect", func(c *config) { c.noRedirect = !follow })
}

// RedirectTrusted says whether credentials go along to another origin (scheme,
// host, port; ws counts as http, wss as https) and whether a redirect may lead from
// wss to ws, or from https to http. The default is false: then [Auth], userinfo of the
// URL, [AWSSigV4], the client certificates of [TLSConfig], [SecretSubprotocol] and
// most headers stay behind from the first hop to another origin on, also where a later
// one leads back. Of the headers of [Header], [Headers] and steps of [UseOuter] only
// these are sent then: Accept, Accept-Charset, Accept-Encoding, Accept-Language,
// Cache-Control, Content-Encoding, Content-Language, Content-Type, Origin, Pragma and
// User-Agent; of the subprotocols those that are plain names: at most 64 characters,
// made of words with . - _ + or / between them, each of at most 20 letters with up to
// four digits in one place, and none of them a word for a credential, such as token or
// bearer. v4.channel.k8s.io is a plain name. [CookieJar] decides by itself, and what
// steps of [Use] set is beyond reach.
//
// The Host header and [Hostname] hold for the first origin alone, trusted or not.
// Userinfo in a Location is dropped.
func RedirectTrusted(trusted bool) Option {
	return option("RedirectTrusted", func(c *config) { c.redirectTrusted = trusted })
}

// MaxRedirects sets how many redirects are followed before the execution fails
// with [ErrTooManyRedirects]; the default is 10.
func MaxRedirects(n int) Option {
	return checked("MaxRedirects", n, notNegative[int], func(c *config, n int) { c.maxRedirects = n })
}

// RedirectLogLevel sets the level of the line that each redirect logs; the
// default is debug.
func RedirectLogLevel(l slog.Level) Option {
	return option("RedirectLogLevel", func(c *config) { c.redirectLogLevel = l })
}

// Errors

// HTTPErrorMode says what becomes of an HTTP error status. See [HTTPErrors].
type HTTPErrorMode uint8

const (
	ReturnErrors HTTPErrorMode = iota + 1 // Do returns the Response
	RaiseErrors                           // Do returns an *HTTPError
)

// HTTPErrors says what [Request.Do] makes of a refused handshake, and of a plain
// HTTP answer of 400 and above: a [Response] ([ReturnErrors]) or an [*HTTPError]
// ([RaiseErrors]). The default is RaiseErrors for ws and wss, and ReturnErrors for
// http and https. Send, Receive and Wait of a Response that is a refused handshake
// return the same [*HTTPError]. Run and Dial return it whatever this option says.
func HTTPErrors(m HTTPErrorMode) Option {
	return checked("HTTPErrors", m, func(m HTTPErrorMode) error {
		if m != ReturnErrors && m != RaiseErrors {
			return fmt.Errorf("unknown mode %d", m)
		}
		return nil
	}, func(c *config, m HTTPErrorMode) { c.httpErrors = m })
}

// Retry

// Retry says what is tried again: [SafeTransient], the default, [Transient] or
// [Never].
func Retry(m RetryMode) Option {
	return checked("Retry", m, func(m RetryMode) error {
		if m > Never {
			return fmt.Errorf("unknown mode %d", m)
		}
		return nil
	}, func(c *config, m RetryMode) { c.retryMode, c.retryFunc = m, nil })
}

// RetryFunc sets a function that alone decides, in place of [Retry], whether
// an answer or an error is tried again: [GiveUp], [Again] (after the usual delay)
// or [AgainAfter]. The request is the last one of the attempt, redirects included,
// with its URL and headers but not yet its credentials. Of the response and the error
// one is nil; the body is not to be read. It is not asked about a WebSocket that
// opened, nor once the context is over. [MaxRetries] still bounds it; [Attempt] tells
// from the request's context which try it was.
func RetryFunc(f func(*http.Request, *http.Response, error) RetryDecision) Option {
	return checked("RetryFunc", f, notNilFunc,
		func(c *config, f func(*http.Request, *http.Response, error) RetryDecision) { c.retryFunc = f })
}

// RetryDelay sets the delay before the n-th retry, n counting from 0, in place
// of Retry-After and the default of 1s, 2s, 4s and so on, each up to a tenth shorter at
// random. A negative one counts as 0.
func RetryDelay(f func(n int) time.Duration) Option {
	return checked("RetryDelay", f, notNilFunc,
		func(c *config, f func(int) time.Duration) { c.retryDelay, c.retryBackOff = f, nil })
}

// RetryBackOff sets where delays come from, in place of Retry-After and the
// default: f is called once per execution, and what it returns is Reset, and then asked
// before each retry. backoff.Stop gives up.
func RetryBackOff(f func() backoff.BackOff) Option {
	return checked("RetryBackOff", f, notNilFunc,
		func(c *config, f func() backoff.BackOff) { c.retryDelay, c.retryBackOff = nil, f })
}

// MaxRetries sets how often an execution tries again; the default is 3, and -1
// means without a bound but ctx. The default delays go on doubling then: [RetryDelay] or
// [RetryBackOff] keep them short.
func MaxRetries(n int) Option {
	return checked("MaxRetries", n, countOrNoBound, func(c *config, n int) { c.maxRetries = n })
}

// RetryLogLevel sets the level of the line that each retry logs; the default is
// warn. attempts_left in it is -1 where [MaxRetries] sets no bound.
func RetryLogLevel(l slog.Level) Option {
	return option("RetryLogLevel", func(c *config) { c.retryLogLevel = l })
}

// Logger sets where retries and redirects are logged; the default is
// slog.Default(), nil silences. No line holds a credential.
func Logger(l *slog.Logger) Option {
	return option("Logger", func(c *config) { c.logger, c.silent = l, l == nil })
}

// Steps

// Use adds steps behind the built-in ones, the first one outermost; only AWS
// signing comes after them. Any wrapper of an http.RoundTripper fits. They find the
// template of the path, such as /rooms/:room, in the request's Pattern, a name for
// traces and metrics that does not differ with the values; a request that a redirect
// led to has none.
//
// Credentials belong in [Auth], which a redirect to another origin leaves out. A step
// given here runs on each hop, and what it sets goes wherever the redirect leads: one
// that adds an Authorization header, or any other secret, has to ask [Foreign] first.
func Use(steps ...Step) Option {
	return checked("Use", slices.Clone(steps), noStepNil, func(c *config, steps []Step) { c.steps = append(c.steps, steps...) })
}

// UseOuter adds steps in front of all others, the first one outermost: around the
// retries and redirects of one execution, which they see as one exchange. Their
// request has no URL yet, and of the headers and the body only what they give it
// themselves; URL, headers and credentials are put in behind them, anew on each
// attempt. Their answer is the last one, with the request that it answers in its field
// Request, and the body of a WebSocket that opened is the connection.
func UseOuter(steps ...Step) Option {
	return checked("UseOuter", slices.Clone(steps), noStepNil, func(c *config, steps []Step) { c.outerSteps = append(c.outerSteps, steps...) })
}

func noStepNil(steps []Step) error {
	for i, s := range steps {
		if s == nil {
			return fmt.Errorf("step %d is nil", i+1)
		}
	}
	return nil
}

// mayShare reports whether somebody else may hold a connection of c's, and close it.
func (c *config) mayShare() bool {
	return c.connect.dialContext != nil || len(c.steps)+len(c.outerSteps) > 0
}
