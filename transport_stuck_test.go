package reqws

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/matryer/is"

	"github.com/reqws/reqws/internal/pipe"
	"github.com/reqws/reqws/reqwstest"
)

// deaf is a body whose writes only end when they may, whatever becomes of it.
type deaf struct {
	io.ReadWriteCloser
	may chan struct{}
}

func (d deaf) Write(p []byte) (int, error) {
	<-d.may
	return len(p), nil
}

// A body whose Close does not end its Write holds up no end of a stream.
func TestABodyThatIsStuckInAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		client, server := pipe.New()
		stuck := deaf{client, make(chan struct{})}
		resp, err := New(URL("ws://reqwstest.test/"), WriteTimeout(0), CloseTimeout(time.Second), Transport(RoundTripFunc(func(req *http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: http.StatusSwitchingProtocols, ProtoMajor: 1, Body: stuck,
				Header: http.Header{
					"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
					"Sec-Websocket-Accept": {reqwstest.AcceptKey(req.Header.Get("Sec-WebSocket-Key"))},
				},
			}, nil
		}))).Do(t.Context())
		is.NoErr(err)
		sent := make(chan error, 1)
		go func() { sent <- resp.Send(t.Context(), Text("x")) }()
		synctest.Wait()
		start := time.Now()
		_, err = server.Write(reqwstest.Encode(reqwstest.Close(1009, "")))
		is.NoErr(err)
		is.Equal(int(websocket.CloseStatus(resp.Wait())), 1009)
		is.Equal(int(websocket.CloseStatus(<-sent)), 1009)
		is.Equal(time.Since(start), time.Second)
		close(stuck.may)
		is.NoErr(server.Close())
	})
}
