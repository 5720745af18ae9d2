import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../src/dataplane/index.js";
import { nativeSnapshot } from "../support/native-snapshot.js";

const addon = loadAddon();
const DESCRIPTORS = 64;
/** A limit that is none, for whatever this process does afterwards. */
const UNLIMITED = 2 ** 32 - 1;

/** No route: every request is answered 404. */
const nothing = nativeSnapshot();

it("gives pipes no more than an eighth of the descriptors", () => {
  addon.setSocketLimit(15);
  expect(addon.probePipeEngine()).toBe("pool");
  addon.setSocketLimit(16);
  expect(addon.probePipeEngine()).toBeNull();
  addon.setSocketLimit(UNLIMITED);
});

describe("clients within the limit of sockets", () => {
  let worker: InstanceType<typeof addon.Worker>;
  let port: number;
  const clients: Socket[] = [];
  const complaints: string[] = [];

  beforeEach(() => {
    worker = new addon.Worker({
      load: new Int32Array(new SharedArrayBuffer(64 * 32)),
      headBytes: new Uint8Array(1024),
      headIndex: new Int32Array(128),
      candidates: new Int32Array(17),
      idSeed: 1n,
      engine: "copy",
      pipeFrom: 1,
      sockmapFrom: 1,
      sockmapTo: 1,
      worker: 0,
      onSelect: () => -1,
      onDone: () => {},
      onAccessLog: () => {},
      onLog: (_level, message) => complaints.push(message),
      onDrained: () => {},
    });
    worker.apply(nothing);
    const listener = addon.openListener({ host: "127.0.0.1", port: 0, path: "" }, 128);
    port = listener.port;
    worker.listen({ fd: listener.fd, name: "test", proxyFrom: [] });
    addon.setSocketLimit(DESCRIPTORS);
  });

  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
    complaints.length = 0;
    worker.close();
    addon.setSocketLimit(UNLIMITED);
  });

  /** A connection that the kernel has established; whether the worker has it is another question. */
  async function open(): Promise<Socket> {
    const client = connect(port, "127.0.0.1").on("error", () => {});
    clients.push(client);
    await once(client, "connect");
    return client;
  }

  const active = () => worker.stats().listeners[0]?.active;

  it("are half of it while nobody knows what they will do", async () => {
    for (let i = 0; i < DESCRIPTORS; i++) await open();
    await expect.poll(active).toBe(DESCRIPTORS / 2);
    await delay(100);
    expect(active()).toBe(DESCRIPTORS / 2);
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toContain("descriptors");
  });

  it("are all but an eighth of it when the others have become idle", async () => {
    const most = (DESCRIPTORS * 7) / 8;
    for (let i = 0; i < most; i++) {
      const client = await open();
      client.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
      // There is no route, so nothing but the client's own connection is needed.
      const [answer] = (await once(client, "data")) as [Buffer];
      expect(answer.toString("latin1")).toMatch(/^HTTP\/1\.1 404 /);
    }
    expect(active()).toBe(most);
    await open();
    await delay(100);
    expect(active()).toBe(most);
    clients[0]?.destroy();
    // One goes, the one that waited comes.
    await expect.poll(() => worker.stats().listeners[0]?.accepted).toBe(most + 1);
  });
});
