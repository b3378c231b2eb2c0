// Package reqws is a WebSocket client for bots, feeds and bridges.
//
// A [Request] describes a connection once: URL, parameters, credentials, AWS
// signature, redirects, retries, proxies. Executing it runs an into handler: a
// function that gets each batch of frames as it arrives and answers with [Cont] or
// [Halt], and with the frames to send back.
//
//	err := reqws.New(
//		reqws.URL("wss://example.com/rooms/:room"),
//		reqws.PathParams(map[string]any{"room": "go"}),
//		reqws.Auth(reqws.Bearer(token)),
//	).Run(ctx, reqws.Into(reqws.Each(func(f reqws.Frame) reqws.Directive {
//		if f.Kind == reqws.KindText {
//			return reqws.Cont(reqws.Text("you said " + f.Text()))
//		}
//		return reqws.Cont()
//	})))
//
// # Executing a Request
//
// [Request.Run] connects and runs the handler in the caller's goroutine until the
// stream ends. [Request.Do] returns after the handshake, and the handler runs in the
// background. [Request.Dial] hands the open connection over as a Conn of
// github.com/coder/websocket.
//
// Without a handler the frames of Do are pulled with [Response.Receive] or
// [Response.Frames], or sent to a channel with [IntoMailbox]. An http or https URL makes
// a plain request through the same steps.
//
// # Steps
//
// What happens to a request are steps, each a wrapper of an http.RoundTripper, the
// outermost first:
//
//	retry, redirect, URL, headers, auth, the steps of Use, AWS signature, handshake
//
// All that is inside retry runs again on each attempt, all that is inside redirect on
// each hop, so that credentials are fetched and signatures made afresh each time.
//
// # Frames
//
// The bytes of a frame that a handler gets are valid until it returns; [Frame.Clone]
// keeps them. Pings that the handler leaves unanswered are answered for it, and the
// closing handshake (RFC 6455, section 7) is completed for it. Messages arrive whole,
// text is valid UTF-8, and what a peer must not send ends the stream with the close
// code that RFC 6455 asks for.
//
// # Errors
//
// Errors are values to test with errors.Is ([ErrTooManyRedirects], [ErrMessageTooBig],
// [ErrClosed], context and syscall errors) and errors.As ([*HTTPError], [*ProtocolError],
// websocket.CloseError). Each says in which phase something failed and for which
// URL, without its query, and never holds a credential.
package reqws
