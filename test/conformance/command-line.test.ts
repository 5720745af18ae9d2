import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { startRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { startProxy } from "../support/proxy.js";
import { Wire } from "../support/wire.js";

forEachEngine("run", (engine) => {
  it("needs no more than a listener and a backend", async () => {
    const origin = await startRawOrigin();
    origin.answer(ok("by flags"));
    const flags = ["--listen", "127.0.0.1:0", "--backend", origin.address];
    const proxy = await startProxy({ engine, flags });
    expect((await proxy.exchange(request())).body.toString()).toBe("by flags");
    await proxy.stop();
  });

  it("says once that it is ready, with the addresses that it listens on", async () => {
    const origin = await startRawOrigin();
    origin.answer(ok());
    const flags = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--backend", origin.address];
    const proxy = await startProxy({ engine, flags: [...flags, "--workers", "2"] });
    expect(proxy.listeners).toHaveLength(2);
    for (const address of proxy.listeners) {
      expect(await (await fetch(`http://${address}/`)).text()).toBe("ok");
    }
    await proxy.stop();
    expect(proxy.logs.filter(({ msg }) => msg === "ready")).toMatchObject([{ admin: null }]);
  });

  it("listens on and connects to Unix sockets", async () => {
    const directory = mkdtempSync(join(tmpdir(), "longsplice-unix-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const [front, back] = [join(directory, "front"), join(directory, "back")];
    const server = net.createServer(async (socket) => {
      await new Wire(socket).readHead();
      socket.end(ok("over Unix sockets", "connection: close"));
    });
    await new Promise<void>((resolve) => server.listen(back, resolve));
    onTestFinished(() => void server.close());
    const proxy = await startProxy({
      engine,
      flags: ["--listen", `unix:${front}`, "--backend", `unix:${back}`],
    });
    expect(proxy.listeners).toEqual([`unix:${front}`]);
    const client = new Wire(net.connect(front));
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("over Unix sockets");
    client.destroy();
    await proxy.stop();
    expect(existsSync(front)).toBe(false);
  });

  it("replaces the file of a Unix socket that nobody listens on, and no other file", async () => {
    const directory = mkdtempSync(join(tmpdir(), "longsplice-unix-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const origin = await startRawOrigin();
    origin.answer(ok());
    const start = (path: string) =>
      startProxy({ engine, flags: ["--listen", `unix:${path}`, "--backend", origin.address] });
    const path = join(directory, "front");
    const crashed = await start(path);
    await expect(start(path)).rejects.toThrow(/LS_LISTEN_ADDRESS_IN_USE/);
    crashed.kill();
    await crashed.exited;
    expect(existsSync(path)).toBe(true);
    const proxy = await start(path);
    const client = new Wire(net.connect(path));
    await client.send(request());
    expect((await readResponse(client)).status).toBe(200);
    client.destroy();
    await proxy.stop();

    writeFileSync(path, "notes");
    symlinkSync(path, `${path}-link`);
    for (const taken of [path, `${path}-link`]) {
      await expect(start(taken)).rejects.toThrow(/EEXIST/);
    }
    expect(readFileSync(path, "utf8")).toBe("notes");
  });

  it("listens on and connects to IPv6 addresses", async () => {
    const server = net.createServer(async (socket) => {
      await new Wire(socket).readHead();
      socket.end(ok("over IPv6", "connection: close"));
    });
    await new Promise<void>((resolve) => server.listen(0, "::1", resolve));
    onTestFinished(() => void server.close());
    const backend = `[::1]:${(server.address() as net.AddressInfo).port}`;
    const proxy = await startProxy({ engine, flags: ["--listen", "[::1]:0", "--backend", backend] });
    expect(proxy.listeners[0]).toMatch(/^\[::1\]:\d+$/);
    const client = await Wire.connect(proxy.port, "::1");
    await client.send(request());
    expect((await readResponse(client)).body.toString()).toBe("over IPv6");
    client.destroy();
    await proxy.stop();
  });

  it("exits 2 when another program has the address", async () => {
    const holder = await startRawOrigin();
    const starting = startProxy({ engine, flags: ["--listen", holder.address, "--backend", "127.0.0.1:1"] });
    await expect(starting).rejects.toThrow(/ended with 2/);
  });
});
