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
// # Options
//
// Each option belongs to a group. Where the page of a function speaks of the
// options of a group, it means one of these:
//
//   - request, what is asked for: [URL], [BaseURL], [BaseURLFunc], [Header], [Headers],
//     [Params], [Param], [PathParams], [PathParamsStyle], [Subprotocols],
//     [SecretSubprotocol], [CookieJar], and for plain HTTP alone [Method], [Body],
//     [JSONBody]
//   - auth: [Auth], with [Basic], [Bearer], [AuthHeader], [Netrc], [NetrcFile], [AuthFunc]
//   - AWS: [AWSSigV4]
//   - into, what becomes of the frames: [Into], [IntoMailbox], [OnOpen], [AutoPong],
//     [MaxMessageSize], [Pieces], [ReadAhead], [HearOut], [Wrap]
//   - redirect: [Redirect], [RedirectTrusted], [MaxRedirects], [RedirectLogLevel]
//   - errors: [HTTPErrors]
//   - retry: [Retry], [RetryFunc], [RetryDelay], [RetryBackOff], [MaxRetries],
//     [RetryLogLevel], [Logger]
//   - connect, how to get there: [ConnectTimeout], [Protocols], [Hostname], [TLSConfig],
//     [DialContext], [Proxy], [ProxyURL], [ProxyHeader], [HTTP2Settings], [Compression],
//     [Transport]
//   - life, of an open connection: [Heartbeat], [HeartbeatFrame], [WriteTimeout],
//     [CloseTimeout], [Reconnect], [ReconnectBackOff], [ReconnectFunc], [MinUptime]
//   - watch, what is done: [Trace], [AddTrace], [LogFrames]
//   - steps: [Use], [UseOuter]
//
// [Options] makes one option of several, of any group.
//
// # Steps
//
// What happens to a request are steps, each a wrapper of an http.RoundTripper, the
// outermost first:
//
//	the steps of UseOuter
//	retry
//	redirect
//	base URL, path parameters, parameters, headers, cookies, auth
//	the steps of Use
//	AWS signature
//	handshake
//
// All that is inside retry runs again on each attempt, all that is inside redirect on
// each hop, so that credentials are fetched and signatures made afresh each time.
// [Attempt] tells a step which attempt it is part of.
//
// # Frames
//
// The bytes of a frame that a handler gets are valid until it returns; [Frame.Clone]
// keeps them. Pings that the handler leaves unanswered are answered for it when it returns;
// [ReadAhead] has them answered while it works. Messages arrive whole, text is valid
// UTF-8, and what a peer must not send ends the stream with the close code that RFC 6455
// asks for.
//
// What is too large to be held is received with [Pieces], and
// sent with [Response.SendReader], as its bytes come. Of a message in pieces no more than
// 72 KiB are held.
//
// # Overload
//
// Of what a peer sends, and of what it does not take, only so much is held, and only so
// long is waited:
//
//	what                      bound                          what happens then
//	a slow handler            a batch: 512 frames, 264 KiB   nothing is read or answered meanwhile: the
//	                          or one larger message          socket fills, and the peer has to wait
//	a full mailbox            a batch in each of its         the same; the pings of what was read are
//	                          places, and one before it      answered
//	either with ReadAhead     ReadAhead and a batch, beside  pings are answered until then; the same
//	                          what is being handled          after
//	a slow Receive            256 KiB and a batch            the same, until Receive is called
//	a peer that never reads   WriteTimeout                   os.ErrDeadlineExceeded; the ctx of a Send
//	                                                         may end that Send before
//	a flood of pings          one pong waits while others    the latest is answered, which answers those
//	                          write                          before it (RFC 6455, section 5.5.3)
//	tiny fragments            the bytes of their message:    close code 1009, ErrMessageTooBig
//	                          MaxMessageSize
//	compressed zeros          MaxMessageSize, inflated       the same
//
// # What else is bounded
//
//	what                      bound                          what happens then
//	connecting                ConnectTimeout, each attempt   context.DeadlineExceeded, tried again
//	the head of an answer     1 MiB                          an error
//	a refusal's body          1 MiB, one second              it is cut short
//	a plain answer's body     MaxMessageSize in Body, no     ErrMessageTooBig
//	                          bound to a handler or mailbox
//	a silent peer             Heartbeat                      ErrPeerUnresponsive
//	the end of a stream       CloseTimeout                   the connection is closed
//	retries, redirects        MaxRetries, MaxRedirects       the last failure, ErrTooManyRedirects
//	attempts to reconnect     Reconnect                      the last failure
//
// # How a stream ends
//
// In good order it ends with a closing handshake (RFC 6455, section 7). [Halt] and
// [Fail], [Response.Close], and a close frame that is sent begin one; the close frame
// of the peer reaches the handler as the last frame of its batch, and is then answered
// with the same code. After the close frames this side shuts its half of the connection
// down, and reads on until the peer has ended its own: what was sent last would
// otherwise be lost where the peer is slow. [CloseTimeout] bounds all of it.
//
// Otherwise it breaks: the connection is lost, a side breaks the protocol,
// [Response.CloseNow] is called, or the ctx of Do or Run ends, which sends a close
// frame with code 1001 and does not wait for the answer. What had arrived before a
// connection was lost is delivered before the error.
//
// [Request.Run] and [Response.Wait] then return
//
//   - nil after a Halt that the peer answered with a close frame, after Close, and after
//     the peer's close frame with code 1000 or with none;
//   - the error that was given to Fail;
//   - a websocket.CloseError after a close frame of the peer's with any other code;
//   - a [*ProtocolError] where a side broke the protocol, be it with a reply of the
//     handler's;
//   - the error of ctx, or [ErrClosed] after CloseNow;
//   - what the connection was lost to, such as syscall.ECONNRESET, or
//     io.ErrUnexpectedEOF where it ended without a close frame, and os.ErrDeadlineExceeded
//     where the peer took nothing, or did not answer;
//   - never nil where replies of the handler's could not be written.
//
// The ctx of Do and Run is the stream's life, so that its end is no goodbye. A program that is to
// say one when a signal ends its own ctx bounds the connecting alone with that:
//
//	life, end := context.WithCancel(context.WithoutCancel(ctx))
//	defer end()
//	stop := context.AfterFunc(ctx, end)
//	resp, err := req.Do(life, reqws.Into(handler))
//	stop()
//	// … and once ctx has ended:
//	err = resp.Close(websocket.StatusGoingAway, "shutting down")
//
// After a clean end [Response.Receive] returns io.EOF, [Response.Frames] stops, and a
// mailbox gets a last [Message] with io.EOF; after any other they give the error.
// [Response.PeerClose] has the peer's close frame, if there was one.
//
// # Errors
//
// Errors are values to test. Those for errors.Is are [ErrTooManyRedirects],
// [ErrMessageTooBig], [ErrPeerUnresponsive], [ErrUnknownMessage], [ErrClosed], and those
// of context and syscall. Those for errors.As are
//
//   - [*HTTPError], a handshake that the server refused, or, from Run and with
//     [RaiseErrors] from Do, a plain HTTP status of 400 and above: status, headers, and
//     the start of the body; with [ReturnErrors] Do returns a Response in its place;
//   - [*ProxyError], the same of a proxy that refused to go on to the server;
//   - [*ProtocolError], what must not be sent or received (RFC 6455, RFC 7692), with
//     its close code;
//   - websocket.CloseError of github.com/coder/websocket, the peer's close frame.
//
// Each names the option that is wrong, or the phase in which something failed and the
// URL without its query, and never holds a credential.
package reqws
