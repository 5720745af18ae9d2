/** Lets every test wait longer: what takes a second elsewhere may take half a minute on an emulated processor. */
import type { ExecFileSyncOptions, SpawnOptions } from "node:child_process";
import { vi } from "vitest";

const SLOWNESS = 20;

vi.mock("../support/wait.js", async (original) => {
  const wait = await original<typeof import("../support/wait.js")>();
  return {
    ...wait,
    within: <T>(promise: Promise<T>, ms: number, what: string) => wait.within(promise, ms * SLOWNESS, what),
    eventually: <T>(what: string, check: () => T | Promise<T>, ms = wait.PATIENCE_MS) =>
      wait.eventually(what, check, ms * SLOWNESS),
  };
});

/** The same options with a longer timeout; without one where there was none. */
function patient<T extends { timeout?: number | undefined }>(options: T): T {
  return options.timeout === undefined ? options : { ...options, timeout: options.timeout * SLOWNESS };
}

vi.mock("node:child_process", async (original) => {
  const real = await original<typeof import("node:child_process")>();
  return {
    ...real,
    execFileSync: (file: string, args: readonly string[], options: ExecFileSyncOptions = {}) =>
      real.execFileSync(file, args, patient(options)),
    spawn: (file: string, args: readonly string[], options: SpawnOptions = {}) =>
      real.spawn(file, args, patient(options)),
  };
});
