package recording

import (
	"github.com/reqws/reqws/reqwstest"
)

// Scripts plays the server's side: a script for each connection of the recording. What the server sent is sent in its
// order, without the waits; what the client sent is expected at its place. Pings of the server are to be answered,
// those of the client are answered, and other control frames left out. A connection that ended without a close frame ends so.
func (r *Recording) Scripts() []*reqwstest.ConnScript {
	var scripts []*reqwstest.ConnScript
	for _, c := range r.connections() {
		scripts = append(scripts, reqwstest.Script(steps(c)...))
	}
	return scripts
}

// connections parts the entries. The first of each is an Open.
func (r *Recording) connections() [][]Entry {
	var all [][]Entry
	for _, e := range r.Entries {
		if e.Kind == Open || len(all) == 0 {
			all = append(all, nil)
		}
		if e.Kind != Open && len(all[len(all)-1]) == 0 {
			all[len(all)-1] = append(all[len(all)-1], Entry{Kind: Open})
		}
		all[len(all)-1] = append(all[len(all)-1], e)
	}
	return all
}

func steps(entries []Entry) []reqwstest.Step {
	var accept []reqwstest.AcceptOption
	if name := entries[0].Subprotocol; name != "" {
		accept = append(accept, reqwstest.WithSubprotocol(name))
	}
	all := []reqwstest.Step{reqwstest.Accept(accept...)}
	for _, e := range entries[1:] {
		switch {
		case e.Kind == Close:
			return append(all, ending(e)...)
		case e.Direction == In:
			all = append(all, sends(e)...)
		case e.Kind == Text:
			all = append(all, reqwstest.ExpectText(string(e.Data)))
		case e.Kind == Binary:
			all = append(all, reqwstest.ExpectBinary(e.Data))
		}
	}
	return all
}

func sends(e Entry) []reqwstest.Step {
	switch e.Kind {
	case Text:
		return []reqwstest.Step{reqwstest.SendText(string(e.Data))}
	case Binary:
		return []reqwstest.Step{reqwstest.SendBinary(e.Data)}
	case Ping:
		return []reqwstest.Step{reqwstest.SendPing(string(e.Data)), reqwstest.ExpectPong(string(e.Data))}
	}
	return nil
}

// ending is the closing handshake, begun by the side that began it.
func ending(e Entry) []reqwstest.Step {
	if e.Direction == In {
		return []reqwstest.Step{reqwstest.SendClose(e.Code, string(e.Data)), reqwstest.ExpectCloseCode(e.Code)}
	}
	return []reqwstest.Step{reqwstest.ExpectCloseCode(e.Code), reqwstest.SendClose(e.Code, "")}
}
