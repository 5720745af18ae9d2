import { existsSync, mkdtempSync, rmSync } from "node:fs";
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
