package dial

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// host2 is a server that speaks HTTP/1.1 or HTTP/2, as the client begins.
type host2 struct {
	resets   bool           // each stream is refused
	http1    func(net.Conn) // nil: hangs up
	http2    bool           // otherwise the preface is a bad request
	conn     net.Conn       // the last one in HTTP/2
	extended bool           // extended CONNECT is allowed (RFC 8441, section 3)
	status   string         // of the answer to it, 200 if empty
	requires string         // that HTTP/1.1 is required: how it says so
	extra    [2]string      // one more field of the answer

	mu      sync.Mutex
	conns   int
	refused int                 // by TLS
	streams []map[string]string // the headers of each
}

func (h *host2) counts() (conns, streams int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns, len(h.streams)
}

// peeked is a connection some of which has been read into a buffer.
type peeked struct {
	net.Conn
	br *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.br.Read(b) }

func (h *host2) serve(conn net.Conn) {
	h.mu.Lock()
	h.conns++
	h.mu.Unlock()
	conn = peeked{conn, bufio.NewReader(conn)}
	start, _ := conn.(peeked).br.Peek(4)
	switch {
	case string(start) != "PRI " && h.http1 != nil:
		h.http1(conn)
	case string(start) == "PRI " && h.http2:
		h.serve2(conn)
	case string(start) == "PRI " && h.http1 != nil:
		hangingUp("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")(conn)
	}
}

// certificate is one for example.com, and those who trust it.
var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	return srv.TLS.Certificates[0], srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
})

// overTLS is serve behind TLS that knows the protocols alpn, or no ALPN if there
// are none. Go's servers of h2 let clients of http/1.1 pass; this one does not.
func (h *host2) overTLS(alpn []string) func(net.Conn) {
	cert, _ := certificate()
	config := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: alpn}
		known := func(offered string) bool { return slices.Contains(alpn, offered) }
		if len(alpn) > 0 && !slices.ContainsFunc(hello.SupportedProtos, known) {
			config.NextProtos = []string{"none"}
		}
		return config, nil
	}}
	return func(conn net.Conn) {
		secured := tls.Server(conn, config)
		if secured.Handshake() == nil {
			h.serve(secured)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.refused++
	}
}

// serve2 is an HTTP/2 server that echoes each stream.
func (h *host2) serve2(conn net.Conn) {
	io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
	h.conn = conn
	fr := http2.NewFramer(conn, conn)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if h.requires == "GOAWAY at once" {
		fr.WriteSettings()
		fr.WriteGoAway(0, http2.ErrCodeHTTP11Required, nil)
	} else if h.extended {
		fr.WriteSettings(http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	} else {
		fr.WriteSettings()
	}
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				fr.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			h.answer(fr, f)
		case *http2.DataFrame:
			fr.WriteData(f.StreamID, false, f.Data())
		}
	}
}

func (h *host2) answer(fr *http2.Framer, f *http2.MetaHeadersFrame) {
	head := make(map[string]string)
	for _, field := range f.Fields {
		head[field.Name] = field.Value
	}
	h.mu.Lock()
	h.streams = append(h.streams, head)
	h.mu.Unlock()
	switch h.requires {
	case "RST_STREAM":
		fr.WriteRSTStream(f.StreamID, http2.ErrCodeHTTP11Required)
		return
	case "GOAWAY":
		fr.WriteGoAway(0, http2.ErrCodeHTTP11Required, []byte("h1 please"))
		return
	case "GOAWAY, and hangs up":
		fr.WriteGoAway(f.StreamID, http2.ErrCodeHTTP11Required, nil)
		h.conn.Close()
		return
	}
	if h.resets {
		fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
		return
	}
	status := h.status
	if status == "" {
		status = "200"
	}
	var block strings.Builder
	enc := hpack.NewEncoder(&block)
	enc.WriteField(hpack.HeaderField{Name: ":status", Value: status})
	if h.extra[0] != "" {
		enc.WriteField(hpack.HeaderField{Name: h.extra[0], Value: h.extra[1]})
	}
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte(block.String()), EndHeaders: true})
	if status != "200" {
		fr.WriteData(f.StreamID, true, []byte("no!"))
	}
}

// upgrading switches protocols and echoes bytes.
func upgrading(conn net.Conn) {
	readHead(conn)
	io.WriteString(conn, switching)
	io.Copy(conn, conn)
}

const (
	upgradeRequired = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nHTTP2"
	notSupported    = "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 5\r\n\r\nHTTP2"
	unauthorized    = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nHTTP1"
)
