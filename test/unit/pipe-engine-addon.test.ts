import { beforeEach, expect, test, vi } from "vitest";
import { loadAddon, type NativeAddon, type PipeObstacle } from "../../src/dataplane/native.js";
import { requirePipeEngine } from "../../src/dataplane/pipe-engine.js";
import { probe } from "../../src/dataplane/probe.js";
import { expectRefusal } from "../support/refused-engine.js";

vi.mock("../../src/dataplane/native.js", () => ({ loadAddon: vi.fn() }));

/** What the addon of the test answers. */
let obstacle: PipeObstacle | null;

beforeEach(() => {
  const addon: Pick<NativeAddon, "probePacketEngine" | "probePipeEngine" | "probeSockmapEngine"> = {
    probePacketEngine: () => ({ status: "not-built", detail: "no clang" }),
    probePipeEngine: () => obstacle,
    probeSockmapEngine: () => ({ status: "usable" }),
  };
  vi.mocked(loadAddon).mockReturnValue(addon as NativeAddon);
});

const pipe = () => probe().engines.find(({ name }) => name === "pipe");

test("where a byte goes through a pipe, the engine is usable", () => {
  obstacle = null;
  requirePipeEngine();
  expect(pipe()).toEqual({ name: "pipe", usable: true });
});

test.each<[PipeObstacle, string, string]>([
  ["descriptors", "no descriptors", "ulimit -n"],
  ["pool", "no descriptors", "ulimit -n"],
  ["pipe_pages", "no pipe of 512 KiB", "fs.pipe-user-pages-soft"],
  ["splice", "refuses splice(2)", "seccomp"],
])("the obstacle %s ends the start with 2, and doctor says the same", (found, why, help) => {
  obstacle = found;
  expectRefusal(requirePipeEngine, "pipe", why, help);
});
