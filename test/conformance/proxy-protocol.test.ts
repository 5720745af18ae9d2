import { describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";

const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** A version 2 header: command and family bytes, addresses, then TLVs. */
function v2(versionCommand: number, family: number, payload: Buffer): Buffer {
  const head = Buffer.from([versionCommand, family, payload.length >> 8, payload.length & 255]);
  return Buffer.concat([SIGNATURE, head, payload]);
}

const V4 = Buffer.from([192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0, 80]);
const V6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000007", "hex"),
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from([0x30, 0x39, 0, 80]),
]);
/** A version 1 header from that IPv6 address. */
const tcp6 = (from: string) => Buffer.from(`PROXY TCP6 ${from} 2001:db8::1 12345 80\r\n`);
const TLV = Buffer.from([0x04, 0, 3, 1, 2, 3]);

forEachEngine("PROXY protocol", (engine) => {
  const origin = useRawOrigin();
  const route = (pool: string) => ({
    match: pool === "plain" ? {} : { path: `/${pool}` },
    pool,
    setRequestHeaders: { "x-client": "{client.address} {client.port}" },
  });
  const config = (from: string[]) => () => ({
    config: {
      listeners: [{ address: "127.0.0.1:0", proxyProtocol: from }],
      routes: [route("v1"), route("v2"), route("plain")],
      pools: {
        plain: { backends: [{ address: origin.address }] },
        v1: { backends: [{ address: origin.address }], proxyProtocol: "v1" },
        v2: { backends: [{ address: origin.address }], proxyProtocol: "v2" },
      },
    },
  });

  describe("on a listener that expects it from this peer", () => {
    // A connection that begins with a request is refused: there is none to warm up.
    const proxy = useProxy(engine, config(["127.0.0.0/8"]), { linked: false });

    it.each([
      ["version 1, TCP4", Buffer.from("PROXY TCP4 192.0.2.7 198.51.100.1 12345 80\r\n"), "192.0.2.7 12345"],
      [
        "version 1, TCP6",
        Buffer.from("PROXY TCP6 2001:db8::7 2001:db8::1 12345 80\r\n"),
        "2001:db8::7 12345",
      ],
      ["version 1, IPv6 spelt unusually", tcp6("2001:DB8:0:0::07"), "2001:db8::7 12345"],
      ["version 1, IPv4 mapped into IPv6", tcp6("::ffff:192.0.2.7"), "192.0.2.7 12345"],
      ["version 1, UNKNOWN", Buffer.from("PROXY UNKNOWN what ever\r\n"), "127.0.0.1 "],
      ["version 2, IPv4", v2(0x21, 0x11, V4), "192.0.2.7 12345"],
      ["version 2, IPv4 with TLVs", v2(0x21, 0x11, Buffer.concat([V4, TLV])), "192.0.2.7 12345"],
      ["version 2, IPv6", v2(0x21, 0x21, V6), "2001:db8::7 12345"],
      ["version 2, LOCAL", v2(0x20, 0x00, Buffer.alloc(0)), "127.0.0.1 "],
      ["version 2, a Unix socket", v2(0x21, 0x31, Buffer.alloc(216)), "127.0.0.1 "],
    ])("believes %s, in one piece and byte by byte", async (_, header, client) => {
      origin.answer(ok());
      for (const pieces of [[header], [...header].map((byte) => Buffer.from([byte]))]) {
        const wire = await proxy.connect();
        for (const piece of pieces) await wire.send(piece);
        await wire.send(request("GET / HTTP/1.1"));
        expect((await readResponse(wire)).status).toBe(200);
        await wire.send(request("GET /again HTTP/1.1"));
        expect((await readResponse(wire)).status).toBe(200);
        for (const seen of origin.requests) {
          expect(seen.fields.get("x-client")!.startsWith(client)).toBe(true);
        }
      }
    });

    it.each([
      ["none", request("GET / HTTP/1.1")],
      ["a bad protocol", Buffer.from("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n")],
      ["a bad address", Buffer.from("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n")],
      ["an address of the other family", Buffer.from("PROXY TCP4 ::1 ::1 1 2\r\n")],
      ["a bad port", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 70000 2\r\n")],
      ["a port with a leading zero", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 080 2\r\n")],
      ["a blank behind the last port", Buffer.from("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n")],
      ["an address with a zone", tcp6("fe80::1%lo")],
      ["a line that is too long", Buffer.from(`PROXY UNKNOWN ${"x".repeat(100)}\r\n`)],
      ["a bad version", v2(0x31, 0x11, V4)],
      ["no room for the IPv4 addresses", v2(0x21, 0x11, V4.subarray(0, 11))],
      ["no room for the IPv6 addresses", v2(0x21, 0x21, V6.subarray(0, 35))],
      ["a bad command", v2(0x22, 0x11, V4)],
      ["a length beyond reason", Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
      ["nothing but the beginning of a signature", Buffer.from("\r\n\r\nGET / HTTP/1.1\r\n\r\n")],
    ])("ends a connection with %s, and nothing reaches a backend", async (_, header) => {
      const wire = await proxy.connect();
      await wire.send(Buffer.concat([Buffer.from(header), Buffer.from(request("GET / HTTP/1.1"))]));
      await wire.ended();
      expect(origin.received).toHaveLength(0);
    });

    it("does not let such connections fill the log", async () => {
      const one = await startProxy({ engine, ...config(["127.0.0.0/8"])() });
      for (let i = 0; i < 5; i++) {
        const wire = await one.connect();
        await wire.send(request("GET / HTTP/1.1"));
        await wire.ended();
      }
      const line = await one.logged(/no valid PROXY header from 127\.0\.0\.1/);
      expect(line.level).toBe("warn");
      await one.stop();
      expect(one.logs.filter(({ msg }) => /PROXY header/.test(msg ?? ""))).toHaveLength(1);
    });
  });

  describe("on a listener that expects it from others only", () => {
    const proxy = useProxy(engine, config(["10.0.0.0/8"]));

    it("serves this peer without, and does not believe a header from it", async () => {
      origin.answer(ok());
      expect((await proxy.exchange(request("GET / HTTP/1.1"))).status).toBe(200);
      const lying = await proxy.exchange(
        `PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n${request("GET / HTTP/1.1")}`,
      );
      expect(lying.status).toBe(400);
    });

    it.each([
      ["v1", "PROXY TCP4 127.0.0.1 127.0.0.1 "],
      ["v2", v2Text(127, 0, 0, 1)],
    ])("sends version %s to a backend, on a connection for each request", async (version, header) => {
      origin.script(async (wire) => {
        // The signature of version 2 ends a head of its own: the request's follows.
        await wire.readHead();
        if (version === "v2") await wire.readHead();
        await wire.send(ok());
      });
      for (let i = 0; i < 2; i++) {
        expect((await proxy.exchange(request(`GET /${version} HTTP/1.1`))).status).toBe(200);
      }
      const received = origin.received.toString("latin1");
      expect(received.startsWith(header)).toBe(true);
      expect(received.split(header)).toHaveLength(3);
      expect(received.split(`GET /${version} HTTP/1.1\r\nhost: test.example\r\n`)).toHaveLength(3);
    });
  });
});

/** How a version 2 header between two ports of one IPv4 address begins. */
function v2Text(...address: number[]): string {
  const fixed = Buffer.from([0x21, 0x11, 0, 12, ...address, ...address]);
  return Buffer.concat([SIGNATURE, fixed]).toString("latin1");
}
