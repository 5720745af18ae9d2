/** The locality policies in the proxy: one table for all workers, which outlives a reload. */
import { beforeEach, describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";

const names = ["lard", "lard-replicated"];

forEachEngine("locality policies", (engine) => {
  const origins = [useRawOrigin(), useRawOrigin(), useRawOrigin()];
  const config = () => ({
    workers: 2,
    routes: names.map((name) => ({ match: { path: `/${name}/` }, pool: name })),
    pools: Object.fromEntries(
      names.map((name) => [name, { policy: name, backends: origins.map(({ address }) => ({ address })) }]),
    ),
  });
  const proxy = useProxy(engine, () => ({ config: config(), warmUp: false as const }), { linked: false });
  beforeEach(() => {
    for (const [i, origin] of origins.entries()) origin.answer(ok(`origin ${i}`));
  });

  // So many that hardly ever, 1 in 10 ^ 8, one of three backends gets none by lot.
  const TARGETS = 50;
  const askAll = async (name: string) => {
    const served: string[] = [];
    for (let i = 0; i < TARGETS; i++) {
      const { status, body } = await proxy.exchange(request(`GET /${name}/${i}?v=1 HTTP/1.1`));
      served.push(status === 200 ? body.toString() : String(status));
    }
    return served;
  };

  describe.each(names)("%s", (name) => {
    it("keeps each target at its backend, in every worker and over a reload", async () => {
      const first = await askAll(name);
      expect(new Set(first).size).toBe(3);
      // Each connection goes to the one or the other worker.
      for (let round = 0; round < 3; round++) expect(await askAll(name)).toEqual(first);
      const before = proxy.logs.length;
      proxy.reload(config());
      await proxy.logged("configuration reloaded", undefined, before);
      expect(await askAll(name)).toEqual(first);
    });
  });
});
