import { describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";

const ALL = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];
const SPOOFED = [
  "x-forwarded-for: 203.0.113.1",
  "X-Forwarded-Proto: https",
  "X-FORWARDED-HOST: bank.example",
  "Forwarded: for=203.0.113.1;proto=https",
];

forEachEngine("forwarding headers", (engine) => {
  const origin = useRawOrigin();
  const options = (forwarded: object | null) => () => ({
    config: {
      routes: [{ match: {}, pool: "main", setRequestHeaders: { "x-client": "{client.address}" } }],
      pools: { main: { backends: [{ address: origin.address }] } },
      forwarded,
    },
  });

  describe("from a client that is not trusted", () => {
    const proxy = useProxy(engine, options({ headers: ALL, trust: ["10.0.0.0/8"] }));

    it("replaces everything that the client claimed", async () => {
      origin.answer(ok());
      await proxy.exchange(request("GET / HTTP/1.1", { headers: SPOOFED }));
      const seen = origin.requests[0]!.fields;
      expect(seen.all("x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(seen.all("x-forwarded-proto")).toEqual(["http"]);
      expect(seen.all("x-forwarded-host")).toEqual(["test.example"]);
      expect(seen.all("forwarded")).toEqual(['for=127.0.0.1;host="test.example";proto=http']);
      expect(seen.get("x-client")).toBe("127.0.0.1");
    });

    it("cannot be made to drop them by naming them in Connection", async () => {
      origin.answer(ok());
      await proxy.exchange(
        request("GET / HTTP/1.1", { headers: ["connection: x-forwarded-for, forwarded"] }),
      );
      expect(origin.requests[0]!.fields.get("x-forwarded-for")).toBe("127.0.0.1");
      expect(origin.requests[0]!.fields.has("forwarded")).toBe(true);
    });
  });

  describe("from a client that knows what backends believe", () => {
    const proxy = useProxy(engine, options({ headers: ALL, trust: ["10.0.0.0/8"] }));

    it("drops names that CGI cannot tell from them", async () => {
      origin.answer(ok());
      const headers = ["X_Forwarded_For: 203.0.113.1", "x-forwarded_proto: https", "x_client: 203.0.113.1"];
      await proxy.exchange(request("GET / HTTP/1.1", { headers }));
      const seen = origin.requests[0]!.fields;
      for (const name of ["x_forwarded_for", "x-forwarded_proto", "x_client"])
        expect(seen.has(name)).toBe(false);
      expect(seen.all("x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(seen.all("x-client")).toEqual(["127.0.0.1"]);
    });

    it("names no host where the request has none", async () => {
      origin.answer(ok());
      await proxy.exchange("GET / HTTP/1.0\r\n\r\n");
      const seen = origin.requests[0]!.fields;
      expect(seen.has("x-forwarded-host")).toBe(false);
      expect(seen.get("forwarded")).toBe("for=127.0.0.1;proto=http");
    });
  });

  describe("where only some are asked for", () => {
    const proxy = useProxy(engine, options({ headers: ["x-forwarded-for"] }));

    it("still drops the others of an untrusted client", async () => {
      origin.answer(ok());
      await proxy.exchange(request("GET / HTTP/1.1", { headers: SPOOFED }));
      const seen = origin.requests[0]!.fields;
      expect(seen.all("x-forwarded-for")).toEqual(["127.0.0.1"]);
      for (const name of ALL.slice(1)) expect(seen.has(name)).toBe(false);
    });
  });

  describe("from a trusted proxy", () => {
    const proxy = useProxy(engine, options({ headers: ALL, trust: ["127.0.0.0/8", "10.0.0.0/8"] }));

    it("continues lists and keeps what the proxy knows better", async () => {
      origin.answer(ok());
      await proxy.exchange(request("GET / HTTP/1.1", { headers: SPOOFED }));
      const seen = origin.requests[0]!.fields;
      expect(seen.all("x-forwarded-for")).toEqual(["203.0.113.1, 127.0.0.1"]);
      expect(seen.all("x-forwarded-proto")).toEqual(["https"]);
      expect(seen.all("x-forwarded-host")).toEqual(["bank.example"]);
      expect(seen.get("forwarded")).toBe(
        'for=203.0.113.1;proto=https, for=127.0.0.1;host="test.example";proto=http',
      );
    });

    it.each([
      ["203.0.113.1, 10.1.2.3", "203.0.113.1"],
      ["198.51.100.9, 203.0.113.1, 10.1.2.3", "203.0.113.1"],
      ["10.1.1.1, 10.1.2.3", "10.1.1.1"],
      ["nonsense, 10.1.2.3", "10.1.2.3"],
      ["203.0.113.1, nonsense", "127.0.0.1"],
      ["2001:db8::7", "2001:db8::7"],
      ["2001:DB8:0::7", "2001:db8::7"],
      ["::ffff:203.0.113.1", "203.0.113.1"],
      ["203.0.113.1:4711", "203.0.113.1"],
      ["[2001:db8::7]:4711, 10.1.2.3:80", "2001:db8::7"],
      ["[2001:db8::7]", "2001:db8::7"],
      ["203.0.113.1:x", "127.0.0.1"],
      ["[2001:db8::7", "127.0.0.1"],
      ["[203.0.113.1]", "127.0.0.1"],
      ["203.0.113.1/8", "127.0.0.1"],
      ["fe80::1%lo", "127.0.0.1"],
    ])("takes the client from X-Forwarded-For: %s", async (value, client) => {
      origin.answer(ok());
      await proxy.exchange(request("GET / HTTP/1.1", { headers: [`x-forwarded-for: ${value}`] }));
      expect(origin.requests[0]!.fields.get("x-client")).toBe(client);
    });
  });

  describe("from a trusted proxy that passes on what it did not look at", () => {
    const proxy = useProxy(engine, options({ headers: ALL, trust: ["127.0.0.0/8"] }));

    it.each(['for="unknown', 'for=a, for="\\"', '"'])(
      "does not append to a quoted string without an end: %s",
      async (value) => {
        origin.answer(ok());
        await proxy.exchange(request("GET / HTTP/1.1", { headers: [`forwarded: ${value}`] }));
        expect(origin.requests[0]!.fields.get("forwarded")).toBe(
          'for=127.0.0.1;host="test.example";proto=http',
        );
      },
    );

    it("does not believe a name with underscores", async () => {
      origin.answer(ok());
      await proxy.exchange(request("GET / HTTP/1.1", { headers: ["x_forwarded_for: 203.0.113.1"] }));
      const seen = origin.requests[0]!.fields;
      expect(seen.all("x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(seen.has("x_forwarded_for")).toBe(false);
      expect(seen.get("x-client")).toBe("127.0.0.1");
    });
  });

  describe("without the section", () => {
    const proxy = useProxy(engine, options(null));

    it("treats them as any other header", async () => {
      origin.answer(ok());
      await proxy.exchange(request("GET / HTTP/1.1", { headers: SPOOFED }));
      expect(origin.requests[0]!.fields.all("x-forwarded-for")).toEqual(["203.0.113.1"]);
      expect(origin.requests[0]!.fields.all("forwarded")).toEqual(["for=203.0.113.1;proto=https"]);
    });
  });
});
