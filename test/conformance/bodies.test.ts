import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Agent, request as undiciRequest } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pattern, sha256 } from "../support/build.js";
import { curl } from "../support/curl.js";
import { forEachEngine } from "../support/engines.js";
import { useNginxOrigin, useNodeOrigin, useProxy } from "../support/fixtures.js";
import { NGINX_FILES } from "../support/nginx-origin.js";

const FILES = Object.keys(NGINX_FILES);
const LONG_CHUNKS = [3_000_000, 1, 700_000, 5, 70_000, 4_000_000];
const SIZES = [0, 1, 1023, 16_384, 65_537, 1_000_003, 20_000_000];

forEachEngine("bodies", (engine) => {
  describe("with nginx behind the proxy", () => {
    const nginx = useNginxOrigin();
    const proxy = useProxy(engine, () => ({ backends: [nginx.address] }));
    let dispatcher: Agent;
    beforeAll(() => {
      dispatcher = new Agent({ connections: 4 });
    });
    afterAll(() => dispatcher.close());

    const get = (path: string, headers: Record<string, string> = {}) =>
      undiciRequest(`${proxy.url}${path}`, { dispatcher, headers });

    it.each(FILES)("undici gets %s unchanged, delimited by its length", async (name) => {
      const answer = await get(`/files/${name}`);
      expect(answer.headers["content-length"]).toBe(String(nginx.content(name).length));
      expect(sha256(await answer.body.bytes())).toBe(sha256(nginx.content(name)));
    });

    it.each(FILES.slice(1))("undici gets %s unchanged, in chunks", async (name) => {
      const answer = await get(`/chunked/${name}`);
      expect(answer.headers["content-length"]).toBeUndefined();
      expect(sha256(await answer.body.bytes())).toBe(sha256(nginx.content(name)));
    });

    it.each(FILES)("undici gets %s unchanged from a backend that closes each connection", async (name) => {
      const answer = await get(`/once/${name}`);
      expect(sha256(await answer.body.bytes())).toBe(sha256(nginx.content(name)));
    });

    it.each(FILES)("curl gets %s unchanged", async (name) => {
      const { exitCode, stdout } = await curl(`${proxy.url}/files/${name}`);
      expect(exitCode).toBe(0);
      expect(sha256(stdout)).toBe(sha256(nginx.content(name)));
    });

    it("curl gets three files over one connection", async () => {
      const names = ["small.bin", "odd.bin", "large.bin"];
      const { exitCode, stdout } = await curl(...names.map((name) => `${proxy.url}/files/${name}`));
      expect(exitCode).toBe(0);
      expect(sha256(stdout)).toBe(sha256(Buffer.concat(names.map((name) => nginx.content(name)))));
    });

    it("passes nginx's trailer on", async () => {
      const answer = await get("/trailer/odd.bin");
      await answer.body.bytes();
      expect(answer.trailers).toMatchObject({ "x-checked": "yes" });
    });

    it("passes a byte range on", async () => {
      const answer = await get("/files/large.bin", { range: "bytes=1000-1999" });
      expect(answer.statusCode).toBe(206);
      expect(answer.headers["content-range"]).toBe("bytes 1000-1999/1048576");
      const expected = nginx.content("large.bin").subarray(1000, 2000);
      expect(sha256(await answer.body.bytes())).toBe(sha256(expected));
    });

    it("passes 304 on, and the connection stays usable", async () => {
      const first = await get("/files/small.bin");
      await first.body.bytes();
      const second = await get("/files/small.bin", { "if-none-match": String(first.headers.etag) });
      expect(second.statusCode).toBe(304);
      expect(await second.body.text()).toBe("");
      expect((await get("/echo")).statusCode).toBe(200);
    });

    it.each([204, 304, 418])("passes status %d on", async (status) => {
      const answer = await get(`/status/${status}`);
      await answer.body.bytes();
      expect(answer.statusCode).toBe(status);
    });

    it.each(SIZES)("uploads %d bytes with a length", async (size) => {
      const body = pattern(size);
      const answer = await undiciRequest(`${proxy.url}/upload/length-${size}`, {
        dispatcher,
        method: "PUT",
        body,
      });
      await answer.body.bytes();
      expect(answer.statusCode).toBe(201);
      expect(sha256(nginx.uploaded(`length-${size}`))).toBe(sha256(body));
    });

    it.each(SIZES.slice(1))("uploads %d bytes in chunks", async (size) => {
      const body = pattern(size);
      const answer = await undiciRequest(`${proxy.url}/upload/chunked-${size}`, {
        dispatcher,
        method: "PUT",
        body: Readable.from(slices(body, 50_000)),
      });
      await answer.body.bytes();
      expect(answer.statusCode).toBe(201);
      expect(sha256(nginx.uploaded(`chunked-${size}`))).toBe(sha256(body));
    });

    it("curl uploads a file with Expect: 100-continue", async () => {
      const body = pattern(3_000_000);
      const file = join(nginx.directory, "to-upload");
      writeFileSync(file, body);
      const url = `${proxy.url}/upload/by-curl`;
      const { exitCode } = await curl("-f", "-H", "Expect: 100-continue", "-T", file, url);
      expect(exitCode).toBe(0);
      expect(sha256(nginx.uploaded("by-curl"))).toBe(sha256(body));
    });
  });

  describe("with node:http behind the proxy", () => {
    const origin = useNodeOrigin((seen, response) => {
      response.setHeader("x-length", seen.body.length);
      if (seen.url === "/chunked") for (const slice of slices(seen.body, 30_000)) response.write(slice);
      if (seen.url === "/as-it-came") {
        let at = 0;
        for (const size of LONG_CHUNKS) {
          response.write(seen.body.subarray(at, at + size));
          at += size;
        }
      }
      response.end(seen.url === "/" ? seen.body : undefined);
    });
    const proxy = useProxy(engine, () => ({ backends: [origin.address] }));

    it.each(SIZES)("echoes %d bytes both ways with a length", async (size) => {
      const body = pattern(size);
      const answer = await undiciRequest(`${proxy.url}/`, { method: "POST", body });
      expect(sha256(await answer.body.bytes())).toBe(sha256(body));
    });

    it.each(SIZES)("echoes %d bytes both ways in chunks", async (size) => {
      const body = pattern(size);
      const answer = await undiciRequest(`${proxy.url}/chunked`, {
        method: "POST",
        body: Readable.from(slices(body, 50_000)),
      });
      expect(sha256(await answer.body.bytes())).toBe(sha256(body));
    });

    it("echoes long chunks, and goes on with short ones", async () => {
      const chunks = LONG_CHUNKS.map((size, i) => pattern(size, i + 1));
      for (let i = 0; i < 4; i++) {
        const answer = await undiciRequest(`${proxy.url}/as-it-came`, {
          method: "POST",
          body: Readable.from(chunks),
        });
        expect(sha256(await answer.body.bytes())).toBe(sha256(Buffer.concat(chunks)));
      }
    });

    it("echoes 32 bodies of a megabyte at the same time", async () => {
      const bodies = Array.from({ length: 32 }, (_, i) => pattern(1_000_000 + i, i + 1));
      const echoed = await Promise.all(
        bodies.map(async (body) => {
          const answer = await undiciRequest(`${proxy.url}/chunked`, { method: "POST", body });
          return sha256(await answer.body.bytes());
        }),
      );
      expect(echoed).toEqual(bodies.map(sha256));
    });
  });
});

/** Views of the bytes, of that size each. */
function* slices(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
