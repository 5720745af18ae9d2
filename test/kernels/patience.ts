/** Lets every test wait longer: what takes a second elsewhere may take half a minute on an emulated processor. */
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
