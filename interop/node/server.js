// A server of many kinds, on a free port of 127.0.0.1 that it prints. The path says
// what a connection does, and the query how its server is configured: each
// combination is a WebSocketServer of its own. It ends with its standard input.
'use strict';

const http = require('node:http');
const { WebSocketServer } = require('ws');

// closed holds what became of the connections that had an id, or who waits for it.
const closed = new Map();

function outcome(id) {
  if (!closed.has(id)) {
    const entry = {};
    entry.done = new Promise((resolve) => { entry.resolve = resolve; });
    closed.set(id, entry);
  }
  return closed.get(id);
}

const behaviours = {
  // Sends back what it gets.
  '/echo': (ws) => {
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  },
  // Sends n messages of a JSON feed, of growing size, then closes.
  '/feed': (ws, query) => {
    const n = Number(query.get('n'));
    for (let i = 0; i < n; i++) {
      const text = JSON.stringify({ i, symbol: 'SYM' + (i % 50), bids: Array(i % 40).fill(i) });
      ws.send(i % 2 ? Buffer.from(text) : text, { binary: i % 2 === 1 });
    }
    ws.close(1000, String(n));
  },
  // Sends n pings with different payloads, a message between any two, and closes
  // once each has its pong.
  '/ping': (ws, query) => {
    const n = Number(query.get('n'));
    const want = [];
    for (let i = 0; i < n; i++) {
      want.push('ping ' + i);
      ws.ping('ping ' + i);
      ws.send('between '.repeat(100) + i);
    }
    ws.on('pong', (data) => {
      const expected = want.shift();
      if (String(data) !== expected) {
        ws.close(4000, `pong ${data}, not ${expected}`);
      } else if (want.length === 0) {
        ws.close(1000, 'all answered');
      }
    });
  },
  // Closes with the code and reason of the query, or with none at all.
  '/close': (ws, query) => {
    ws.close(query.has('code') ? Number(query.get('code')) : undefined, query.get('reason') ?? undefined);
  },
  // Hands out work, and closes once all of it was reported as done. Every half second it
  // pings; who has not answered the last ping by then is cut off.
  '/slow': (ws) => {
    const work = 2;
    let done = 0;
    let answered = true;
    const beat = setInterval(() => {
      if (!answered) {
        ws.terminate();
        return;
      }
      answered = false;
      ws.ping();
    }, 500);
    ws.on('pong', () => { answered = true; });
    ws.on('close', () => clearInterval(beat));
    ws.on('message', (data) => {
      if (String(data) !== 'done ' + done++) {
        ws.close(4000, 'not what was asked for');
      } else if (done === work) {
        ws.close(1000, 'all done');
      }
    });
    for (let i = 0; i < work; i++) {
      ws.send('work ' + i);
    }
  },
  // One message in many frames, with a ping between any two.
  '/fragments': (ws, query) => {
    const n = Number(query.get('n'));
    for (let i = 0; i < n; i++) {
      ws.send(`piece ${i} of the message, `, { fin: i === n - 1, binary: false });
      ws.ping(String(i));
    }
  },
};

function compression(query) {
  if (query.get('compress') !== 'true') {
    return false;
  }
  const options = { threshold: Number(query.get('threshold') ?? 0) };
  for (const name of ['serverNoContextTakeover', 'clientNoContextTakeover']) {
    if (query.get(name) === 'true') {
      options[name] = true;
    }
  }
  for (const name of ['serverMaxWindowBits', 'clientMaxWindowBits']) {
    if (query.has(name)) {
      options[name] = Number(query.get(name));
    }
  }
  return options;
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://server');
  if (url.pathname !== '/closed') {
    response.writeHead(404).end();
    return;
  }
  const result = await outcome(url.searchParams.get('id')).done;
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(result));
});

server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://server');
  const query = url.searchParams;
  const wss = new WebSocketServer({
    noServer: true,
    perMessageDeflate: compression(query),
    handleProtocols: query.has('protocol')
      ? (offered) => (offered.has(query.get('protocol')) ? query.get('protocol') : false)
      : undefined,
  });
  wss.handleUpgrade(request, socket, head, (ws) => {
    const errors = [];
    ws.on('error', (err) => errors.push(err.message));
    ws.on('close', (code, reason) => {
      outcome(query.get('id')).resolve({
        code,
        reason: String(reason),
        errors,
        received: socket.bytesRead,
        sent: socket.bytesWritten,
      });
    });
    behaviours[url.pathname](ws, query);
  });
});

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
