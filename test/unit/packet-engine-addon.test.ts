import { beforeEach, expect, test, vi } from "vitest";
import { loadAddon, type NativeAddon, type PacketEngineResult } from "../../src/dataplane/native.js";
import { openPacketEngine } from "../../src/dataplane/packet-engine.js";
import { probe } from "../../src/dataplane/probe.js";
import { expectRefusal } from "../support/refused-engine.js";

vi.mock("../../src/dataplane/native.js", () => ({ loadAddon: vi.fn() }));

/** What the addon of the test answers. */
let result: PacketEngineResult;
const asked = vi.fn();

beforeEach(() => {
  asked.mockReset();
  const addon: Pick<
    NativeAddon,
    "openPacketEngine" | "probePacketEngine" | "probePipeEngine" | "probeSockmapEngine"
  > = {
    openPacketEngine: (options) => {
      asked(options);
      return result;
    },
    probePacketEngine: () => result,
    probePipeEngine: () => null,
    probeSockmapEngine: () => ({ status: "usable" }),
  };
  vi.mocked(loadAddon).mockReturnValue(addon as NativeAddon);
});

const packet = () => probe().engines.find(({ name }) => name === "packet");

test("a packet engine that loads is used, and doctor says by which hooks", () => {
  result = { status: "loaded", hooks: "clsact", interfaces: ["lo"] };
  const options = { interfaces: "auto", workers: 2 } as const;
  expect(openPacketEngine(options)).toBe(result);
  expect(asked.mock.calls).toEqual([[options]]);
  expect(packet()).toEqual({ name: "packet", usable: true, hooks: "clsact" });
});

test.each<[PacketEngineResult, string, string]>([
  [{ status: "unsupported", kernel: "5.15", detail: "older than 5.15" }, "packet: older than", "Linux 5.15"],
  [{ status: "denied", capability: "CAP_BPF", detail: "not permitted" }, "packet: not permitted", "CAP_BPF"],
  [{ status: "failed", detail: "no such interface" }, "packet: no such interface", "`interfaces`"],
  [{ status: "not-built", detail: "no clang" }, "packet: no clang", "libbpf-dev"],
])("a packet engine that is %o ends the start with 2, and doctor says the same", (found, why, help) => {
  result = found;
  expectRefusal(() => openPacketEngine({ interfaces: "auto", workers: 1 }), "packet", why, help);
});

test("doctor reports every engine, also where the addon does not load", () => {
  vi.mocked(loadAddon).mockImplementation(() => {
    throw new Error("broken");
  });
  const { engines, addon } = probe();
  expect(addon).toEqual({ ok: false, detail: "Error: broken" });
  expect(engines.map(({ name, usable }) => [name, usable])).toEqual([
    ["copy", false],
    ["pipe", false],
    ["sockmap", false],
    ["packet", false],
  ]);
});
