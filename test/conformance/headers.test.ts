import { describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";

forEachEngine("header rules of a route", (engine) => {
  const origin = useRawOrigin();
  const config = () => ({
    config: {
      routes: [
        {
          match: {},
          pool: "main",
          // Where another mode stands at the top level, a route that changes responses has to say so.
          forward: "exchange",
          setRequestHeaders: {
            "x-forwarded-for": "{client.address}",
            "x-client-port": "{client.port}",
            "x-request-id": "{request.id}",
            "x-original-host": "{host}",
            "x-backend": "{backend.address}",
            "x-mixed": "from {client.address}:{client.port} to {host}.",
            "x-fixed": "as it is",
          },
          removeRequestHeaders: ["x-secret", "Cookie"],
          setResponseHeaders: {
            "x-served-by": "{backend.address}",
            "x-request-id": "{request.id}",
            server: "longsplice",
          },
          removeResponseHeaders: ["x-powered-by", "Set-Cookie"],
        },
      ],
      pools: { main: { backends: [{ address: origin.address }] } },
    },
  });
  const proxy = useProxy(engine, config, { linked: false });

  const seenAfter = async (...headers: string[]) => {
    origin.answer(ok());
    await proxy.exchange(request("GET / HTTP/1.1", { headers }));
    return origin.requests.at(-1)!.fields;
  };

  describe("in requests", () => {
    it("sets the client's address and port", async () => {
      origin.answer(ok());
      const client = await proxy.connect();
      await client.send(request());
      await readResponse(client);
      const { fields } = origin.requests[0]!;
      expect(fields.get("x-forwarded-for")).toBe("127.0.0.1");
      expect(fields.get("x-client-port")).toBe(String(client.socket.localPort));
      expect(fields.get("x-mixed")).toBe(`from 127.0.0.1:${client.socket.localPort} to test.example.`);
    });

    it("sets the host as the client sent it", async () => {
      expect((await seenAfter("host: Shop.Example:81")).get("x-original-host")).toBe("Shop.Example:81");
    });

    it("sets the backend's address", async () => {
      expect((await seenAfter()).get("x-backend")).toBe(origin.address);
    });

    it("sets fixed text", async () => {
      expect((await seenAfter()).get("x-fixed")).toBe("as it is");
    });

    it("sets another request id for each request", async () => {
      const ids = new Set<string>();
      for (let i = 0; i < 20; i++) ids.add((await seenAfter()).get("x-request-id")!);
      expect(ids.size).toBe(20);
      for (const id of ids) expect(id).toMatch(/^[\w-]{8,}$/);
    });

    it("replaces every field of that name which the client sent, in any case", async () => {
      const fields = await seenAfter(
        "X-Forwarded-For: 6.6.6.6",
        "x-forwarded-for: 7.7.7.7",
        "X-FIXED: spoofed",
      );
      expect(fields.all("x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(fields.all("x-fixed")).toEqual(["as it is"]);
    });

    it("removes every field of the names to remove, in any case", async () => {
      const fields = await seenAfter("X-Secret: 1", "x-secret: 2", "cookie: a=b", "x-kept: 3");
      expect([fields.has("x-secret"), fields.has("cookie"), fields.get("x-kept")]).toEqual([
        false,
        false,
        "3",
      ]);
    });

    it("keeps fields whose name only begins alike", async () => {
      const fields = await seenAfter("x-secrets: 1", "x-secre: 2", "cookie2: 3");
      expect(fields.list.filter(([name]) => /^(x-secre|cookie)/.test(name))).toHaveLength(3);
    });
  });

  describe("in responses", () => {
    it("sets fields, and replaces what the backend sent", async () => {
      origin.answer(ok("ok", "Server: origin", "x-served-by: liar"));
      const { fields } = await proxy.exchange(request());
      expect(fields.all("server")).toEqual(["longsplice"]);
      expect(fields.all("x-served-by")).toEqual([origin.address]);
    });

    it("gives request and response the same request id", async () => {
      origin.answer(ok());
      const { fields } = await proxy.exchange(request());
      expect(fields.get("x-request-id")).toBe(origin.requests[0]!.fields.get("x-request-id"));
    });

    it("removes every field of the names to remove, in any case", async () => {
      origin.answer(ok("ok", "X-Powered-By: x", "set-cookie: a=1", "Set-Cookie: b=2", "x-kept: 1"));
      const { fields } = await proxy.exchange(request());
      expect([fields.has("x-powered-by"), fields.has("set-cookie"), fields.get("x-kept")]).toEqual([
        false,
        false,
        "1",
      ]);
    });
  });
});
