import { beforeEach, expect, test, vi } from "vitest";
import { loadAddon, type NativeAddon, type SockmapEngineResult } from "../../src/dataplane/native.js";
import { planRoute } from "../../src/dataplane/planner.js";
import { probe } from "../../src/dataplane/probe.js";
import { openSockmapEngine } from "../../src/dataplane/sockmap-engine.js";
import { expectRefusal } from "../support/refused-engine.js";

vi.mock("../../src/dataplane/native.js", () => ({ loadAddon: vi.fn() }));

/** What the addon of the test answers. */
let result: SockmapEngineResult;

beforeEach(() => {
  const addon: Pick<
    NativeAddon,
    "openSockmapEngine" | "probePacketEngine" | "probePipeEngine" | "probeSockmapEngine"
  > = {
    openSockmapEngine: () => result,
    probePacketEngine: () => ({ status: "not-built", detail: "no clang" }),
    probePipeEngine: () => null,
    probeSockmapEngine: () => result,
  };
  vi.mocked(loadAddon).mockReturnValue(addon as NativeAddon);
});

const sockmap = () => probe().engines.find(({ name }) => name === "sockmap");

test("a kernel that passes the self-test is used", () => {
  result = { status: "usable" };
  openSockmapEngine();
  expect(sockmap()).toEqual({ name: "sockmap", usable: true });
});

test.each<[SockmapEngineResult, string, string]>([
  [{ status: "unsupported", needs: "Linux 6.1", detail: "no program" }, "sockmap: no program", "Linux 6.1"],
  [{ status: "denied", needs: "CAP_PERFMON", detail: "not permitted" }, "not permitted", "CAP_PERFMON"],
  [{ status: "unreliable", detail: "a byte is doubled" }, "failed the self-test: a byte is doubled", "copy"],
  [{ status: "failed", detail: "loading: no" }, "sockmap: loading: no", "longsplice doctor"],
  [{ status: "not-built", detail: "no clang" }, "sockmap: no clang", "libbpf-dev"],
])("a sockmap engine that is %o ends the start with 2, and doctor says the same", (found, why, help) => {
  result = found;
  expectRefusal(openSockmapEngine, "sockmap", why, help);
});

test("it is for exchanges only, and only where it is ordered", () => {
  const facts = {
    forward: "connection",
    setsRequestHeaders: false,
    changesResponses: false,
    matchesBeyondKernel: false,
    forwarded: false,
    choosesBy: "load",
    countsPlaces: false,
    proxyHeader: false,
  } as const;
  expect(planRoute({ ...facts, engine: "sockmap" })).toEqual({
    forward: "exchange",
    engine: "sockmap",
    why: "engine: sockmap is configured",
  });
  expect(planRoute({ ...facts, engine: "auto", packetObstacle: "no privilege" }).engine).toBe("copy");
});
