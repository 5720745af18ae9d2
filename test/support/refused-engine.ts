import { expect } from "vitest";
import { probe } from "../../src/dataplane/probe.js";
import { exitCodeOf } from "../../src/errors/index.js";

/** Checks that an engine that cannot be used ends the start with 2, and that doctor gives the same reason and remedy. */
export function expectRefusal(open: () => void, engine: string, why: string, help: string): void {
  let error: unknown;
  try {
    open();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({
    code: "LS_ENGINE_UNAVAILABLE",
    message: expect.stringContaining(why),
    remedy: expect.stringContaining(help),
  });
  expect(exitCodeOf(error)).toBe(2);
  const found = probe().engines.find(({ name }) => name === engine);
  expect(found).toMatchObject({ usable: false, remedy: (error as { remedy: string }).remedy });
  expect(found?.reason).toBeTruthy();
  expect((error as Error).message).toContain(found?.reason);
}
