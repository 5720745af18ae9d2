import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/dataplane/index.js";

const addon = loadAddon();

function options() {
  return {
    load: new Int32Array(new SharedArrayBuffer(64 * 32)),
    headBytes: new Uint8Array(1024),
    headIndex: new Int32Array(128),
    candidates: new Int32Array(17),
    idSeed: 1n,
    engine: "copy" as const,
    pipeFrom: 1,
    sockmapFrom: 1,
    sockmapTo: 1,
    worker: 0,
    onSelect: () => -1,
    onDone: () => {},
    onAccessLog: () => {},
    onLog: () => {},
    onDrained: () => {},
  };
}

describe("the native worker, misused", () => {
  it("says which option is missing", () => {
    for (const key of ["load", "onSelect", "headBytes"]) {
      expect(() => new addon.Worker({ ...options(), [key]: undefined } as never)).toThrow(key);
    }
    expect(() => new (addon.Worker as unknown as new () => unknown)()).toThrow("options object");
  });

  it("refuses a snapshot of the wrong shape and names the member", () => {
    const worker = new addon.Worker(options());
    expect(() => worker.apply({} as never)).toThrow("routes");
    expect(() => worker.apply(undefined as never)).toThrow(TypeError);
    worker.close();
  });

  it("answers with an error after close, and close may be repeated", () => {
    const worker = new addon.Worker(options());
    worker.close();
    worker.close();
    expect(() => worker.stats()).toThrow("closed");
    expect(() => worker.drain()).toThrow("closed");
    expect(() => worker.listen({ fd: 0, name: "x", proxyFrom: [] })).toThrow("closed");
    expect(() => worker.decided(1, 0)).not.toThrow();
  });

  it("lets a thread end that never closed it", async () => {
    const code = `
      const { createRequire } = require("node:module");
      const addon = require(${JSON.stringify(addonFile())});
      const noop = () => {};
      new addon.Worker({ load: new Int32Array(new SharedArrayBuffer(1024)), headBytes: new Uint8Array(64),
        headIndex: new Int32Array(128), candidates: new Int32Array(17), idSeed: 1n, onSelect: () => -1,
        onDone: noop, onAccessLog: noop, onLog: noop, onDrained: noop });
      require("node:worker_threads").parentPort.postMessage("made");`;
    for (let i = 0; i < 5; i++) {
      const thread = new Worker(code, { eval: true });
      await new Promise((resolve) => thread.once("message", resolve));
      expect(await thread.terminate()).toBe(1);
    }
  });
});

function addonFile(): string {
  return new URL("../../build/Release/longsplice.node", import.meta.url).pathname;
}
