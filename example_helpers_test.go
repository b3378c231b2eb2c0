package reqws_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/reqws/reqws"
	"github.com/reqws/reqws/reqwstest"
)

// exampleServer accepts WebSockets and answers plain requests with "ok". It
// prints what it is asked for, with the headers named. Refuse makes it answer with
// other statuses first, such as "302 /there".
type exampleServer struct {
	*httptest.Server
	WS      string // its URL, as ws
	headers []string

	mu     sync.Mutex
	refuse []string
}

func newExampleServer(headers ...string) *exampleServer {
	s := &exampleServer{headers: headers}
	s.Server = httptest.NewServer(s)
	s.WS = "ws" + strings.TrimPrefix(s.URL, "http")
	return s
}

func (s *exampleServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Println(r.Method, r.RequestURI)
	for _, name := range s.headers {
		if value := r.Header.Get(name); value != "" {
			fmt.Printf("  %s: %s\n", name, value)
		}
	}
	if status, location := s.refusal(); status != 0 {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(status)
		return
	}
	if r.Header.Get("Upgrade") == "" {
		fmt.Fprint(w, "ok")
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"v1"}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.Read(r.Context())
}

// Refuse sets the answers to the next requests.
func (s *exampleServer) Refuse(answers ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = answers
}

func (s *exampleServer) refusal() (status int, location string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refuse) > 0 {
		fmt.Sscan(s.refuse[0], &status, &location)
		s.refuse = s.refuse[1:]
	}
	return status, location
}

// open executes r and says what came of it.
func open(r *reqws.Request, opts ...reqws.Option) {
	resp, err := r.Do(context.Background(), opts...)
	var refused *reqws.HTTPError
	if errors.As(err, &refused) {
		fmt.Println("status", refused.StatusCode)
		return
	}
	if err != nil {
		fmt.Println("failed:", errors.Unwrap(err))
		return
	}
	defer resp.CloseNow()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		fmt.Println("status", resp.StatusCode)
	}
}

// logger writes lines without the time, and without the URL, whose port differs.
func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case slog.TimeKey, "url", "from", "to":
				return slog.Attr{}
			}
			return a
		},
	}))
}

// chat is a server that says what it is told to, echoes every message, and closes
// when it hears "bye". It returns its URL and what stops it.
func chat(says ...string) (url string, stop func()) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for _, text := range says {
			conn.Write(r.Context(), websocket.MessageText, []byte(text))
		}
		for {
			kind, p, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if string(p) == "bye" {
				conn.Close(websocket.StatusNormalClosure, "see you")
				return
			}
			conn.Write(r.Context(), kind, p)
		}
	}))
	return "ws" + strings.TrimPrefix(srv.URL, "http"), srv.Close
}

// plays is a server that plays a script: of reqwstest, which tests have too.
func plays(steps ...reqwstest.Step) (url string, stop func()) {
	return serves(reqwstest.Script(append([]reqwstest.Step{reqwstest.Accept()}, steps...)...))
}

// serves is one that plays a script on each connection.
func serves(scripts ...reqwstest.Option) (url string, stop func()) {
	srv := reqwstest.New(tb{}, scripts...)
	return srv.URL, srv.Close
}
