"""A WebSocket server in one of three libraries, on a port of 127.0.0.1.

    server.py websockets|aiohttp|tornado PORT ping|quiet [CERTIFICATE KEY]

It sends back what it gets. At /slow it hands out work instead, and closes with
1000 once all of it was reported as done. With "ping" it pings every half second, and
gives up a client that does not answer for about as long: as near to that as the
library lets it.
"""

import asyncio
import ssl
import sys

library, port, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pings = mode == "ping"
WORK = 2

tls = None
if len(sys.argv) > 4:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[4], sys.argv[5])


async def with_websockets():
    import websockets

    async def serve(ws):
        if ws.path != "/slow":
            async for message in ws:
                await ws.send(message)
            return
        for i in range(WORK):
            await ws.send(f"work {i}")
        for i in range(WORK):
            if await ws.recv() != f"done {i}":
                await ws.close(4000, "not what was asked for")
                return
        await ws.close(1000, "all done")

    every = 0.5 if pings else None
    async with websockets.serve(serve, "127.0.0.1", port, ssl=tls, ping_interval=every, ping_timeout=every):
        await asyncio.Future()


async def with_aiohttp():
    from aiohttp import WSMsgType, web

    async def echo(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type == WSMsgType.TEXT:
                await ws.send_str(message.data)
        return ws

    async def slow(request):
        # It waits for a pong for half as long as it waits between pings.
        ws = web.WebSocketResponse(heartbeat=1.0 if pings else None)
        await ws.prepare(request)
        for i in range(WORK):
            await ws.send_str(f"work {i}")
        for i in range(WORK):
            message = await ws.receive()
            if message.type != WSMsgType.TEXT or message.data != f"done {i}":
                await ws.close(code=4000, message=b"not what was asked for")
                return ws
        await ws.close(code=1000, message=b"all done")
        return ws

    app = web.Application()
    app.add_routes([web.get("/echo", echo), web.get("/slow", slow)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    await asyncio.Future()


async def with_tornado():
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    class Echo(WebSocketHandler):
        async def on_message(self, message):
            await self.write_message(message)

    class Slow(WebSocketHandler):
        async def open(self):
            self.done = 0
            for i in range(WORK):
                await self.write_message(f"work {i}")

        def on_message(self, message):
            if message != f"done {self.done}":
                self.close(4000, "not what was asked for")
                return
            self.done += 1
            if self.done == WORK:
                self.close(1000, "all done")

    settings = {}
    if pings:
        # It looks for the last pong when it is time for the next ping.
        settings = {"websocket_ping_interval": 0.5, "websocket_ping_timeout": 0.75}
    Application([("/echo", Echo), ("/slow", Slow)], **settings).listen(port, "127.0.0.1", ssl_options=tls)
    await asyncio.Future()


asyncio.run({"websockets": with_websockets, "aiohttp": with_aiohttp, "tornado": with_tornado}[library]())
