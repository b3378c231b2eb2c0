package reqwstest_test

import (
	"context"
	"testing"

	"github.com/coder/websocket"

	"github.com/reqws/reqws/reqwstest"
)

func greet(ctx context.Context, url string) error {
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	_, name, err := conn.Read(ctx)
	if err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello, "+string(name))); err != nil {
		return err
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

func TestGreet(t *testing.T) {
	reqwstest.NoLeaks(t)
	srv := reqwstest.New(t, reqwstest.Script(
		reqwstest.Accept(),
		reqwstest.SendText("world"),
		reqwstest.ExpectText("hello, world"),
		reqwstest.ExpectClose(1000, ""),
		reqwstest.SendClose(1000, ""),
		reqwstest.ExpectEOF(),
	))
	if err := greet(t.Context(), srv.URL); err != nil {
		t.Fatal(err)
	}
	if got := srv.Requests()[0].Header.Get("Upgrade"); got != "websocket" {
		t.Errorf("Upgrade: %q", got)
	}
}
