import http from "node:http";
import type net from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { ok, pattern, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { expectNothingReached, expectRefused } from "../support/expect.js";
import { startRawOrigin, useProxy, useRawOrigin } from "../support/fixtures.js";
import { readRequestHead, readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { delay, PATIENCE_MS, within } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

const UPGRADE = ["connection: upgrade", "upgrade: echo"];
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

forEachEngine("upgrade with raw peers", (engine) => {
  const origin = useRawOrigin();
  const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

  /** A tunnel whose two ends the test holds. */
  async function openTunnel(): Promise<{ client: Wire; server: Wire }> {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(SWITCH);
    });
    const client = await proxy.connect();
    await client.send(request("GET /tunnel HTTP/1.1", { headers: UPGRADE }));
    expect((await readResponse(client)).status).toBe(101);
    return { client, server: await origin.connection() };
  }

  it("passes the upgrade headers on in both directions", async () => {
    origin.script(async (wire) => {
      const { fields } = await readRequestHead(wire);
      expect(fields.get("upgrade")).toBe("echo");
      expect(fields.get("connection")?.toLowerCase()).toBe("upgrade");
      await wire.send(SWITCH);
    });
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.1", { headers: UPGRADE }));
    const answer = await readResponse(client);
    expect(answer.fields.get("upgrade")).toBe("echo");
    expect(answer.fields.get("connection")?.toLowerCase()).toBe("upgrade");
  });

  it("carries any bytes both ways after 101", async () => {
    const { client, server } = await openTunnel();
    const up = pattern(300_000, 1);
    const down = pattern(400_000, 2);
    await Promise.all([client.send(up), server.send(down)]);
    expect((await server.readExactly(up.length)).equals(up)).toBe(true);
    expect((await client.readExactly(down.length)).equals(down)).toBe(true);
  });

  it("does not lose bytes that came together with the 101", async () => {
    origin.script(async (wire) => {
      await wire.readHead();
      await wire.send(SWITCH, "first words");
    });
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.1", { headers: UPGRADE }));
    await readResponse(client);
    expect((await client.readExactly(11)).toString()).toBe("first words");
  });

  it("does not read what is in the tunnel as HTTP", async () => {
    const { client, server } = await openTunnel();
    const text = "GET /other HTTP/1.1\r\nhost: test.example\r\n\r\n";
    await client.send(text);
    expect((await server.readExactly(text.length)).toString()).toBe(text);
    expect(origin.connections).toHaveLength(1);
  });

  it("passes the client's FIN on and still delivers the backend's answer", async () => {
    const { client, server } = await openTunnel();
    await client.send("question");
    client.finish();
    expect((await server.readToEnd()).toString()).toBe("question");
    await server.send("answer");
    server.finish();
    expect((await client.readToEnd()).toString()).toBe("answer");
  });

  it("passes the backend's FIN on and still delivers the client's answer", async () => {
    const { client, server } = await openTunnel();
    await server.send("question");
    server.finish();
    expect((await client.readToEnd()).toString()).toBe("question");
    await client.send("answer");
    client.finish();
    expect((await server.readToEnd()).toString()).toBe("answer");
  });

  it("closes the backend's connection when the client resets", async () => {
    const { client, server } = await openTunnel();
    client.reset();
    await server.ended();
  });

  it("closes the client's connection when the backend resets", async () => {
    const { client, server } = await openTunnel();
    server.reset();
    await client.ended();
  });

  it("treats an answer other than 101 as an ordinary response", async () => {
    origin.answer(ok("no thanks"));
    const client = await proxy.connect();
    await client.send(request("GET / HTTP/1.1", { headers: UPGRADE }));
    expect((await readResponse(client)).body.toString()).toBe("no thanks");
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("no thanks");
  });

  it.each(["test.example:443", "127.0.0.1:22"])("refuses CONNECT %s with 405", async (target) => {
    const client = await proxy.connect();
    await client.send(`CONNECT ${target} HTTP/1.1\r\nhost: ${target}\r\n\r\n`);
    await expectRefused(client, 405, "CONNECT");
    await expectNothingReached(origin);
  });

  it("gives a tunnel more time than a response head", async () => {
    const own = await startRawOrigin();
    own.script(async (wire) => {
      await wire.readHead();
      await wire.send(SWITCH);
      await delay(2_000);
      await wire.send("late");
    });
    const patient = await startProxy({
      engine,
      backends: [own.address],
      config: { timeouts: { response: "1s", header: "1s", idle: "1s", stream: "8s" } },
    });
    const client = await patient.connect();
    await client.send(request("GET / HTTP/1.1", { headers: UPGRADE }));
    await readResponse(client);
    expect((await client.readExactly(4)).toString()).toBe("late");
  });
});

forEachEngine("WebSocket", (engine) => {
  const server = http.createServer();
  const sockets = new WebSocketServer({ server, path: "/chat" });
  beforeAll(async () => {
    sockets.on("connection", (socket) => {
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    sockets.close();
    server.close();
  });
  const backend = () => `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  const proxy = useProxy(engine, () => ({ backends: [backend()] }), { linked: "tunnels" });

  async function open(): Promise<WebSocket> {
    const socket = new WebSocket(`${proxy.url.replace("http", "ws")}/chat`);
    await within(
      new Promise((resolve) => socket.once("open", resolve)),
      PATIENCE_MS,
      "the WebSocket handshake",
    );
    return socket;
  }

  const echo = (socket: WebSocket, message: string | Buffer): Promise<Buffer> => {
    const answer = new Promise<Buffer>((resolve) => socket.once("message", (data: Buffer) => resolve(data)));
    socket.send(message);
    return within(answer, PATIENCE_MS, "the echo");
  };

  it("echoes messages of all sizes", async () => {
    const socket = await open();
    for (const size of [0, 1, 125, 126, 65_536, 2_000_000]) {
      const message = pattern(size);
      expect((await echo(socket, message)).equals(message)).toBe(true);
    }
    socket.terminate();
  });

  it("keeps 20 sockets apart", async () => {
    const open20 = await Promise.all(Array.from({ length: 20 }, open));
    const answers = await Promise.all(open20.map((socket, i) => echo(socket, `socket ${i}`)));
    expect(answers.map(String)).toEqual(open20.map((_, i) => `socket ${i}`));
    for (const socket of open20) socket.terminate();
  });

  it("delivers the close code to both ends", async () => {
    const socket = await open();
    // Those of earlier tests may still be there.
    const atServer = new Promise<number>((resolve) => [...sockets.clients].at(-1)!.once("close", resolve));
    const atClient = new Promise<number>((resolve) => socket.once("close", resolve));
    socket.close(4001, "done");
    expect(await within(Promise.all([atServer, atClient]), PATIENCE_MS, "the close")).toEqual([4001, 4001]);
  });
});
