/** Sessions by cookie, through the real proxy: several workers, forged cookies, a backend that goes away. */
import { beforeEach, describe, expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { useProxy, useRawOrigin } from "../support/fixtures.js";

forEachEngine("sessions by cookie", (engine) => {
  const origins = [useRawOrigin(), useRawOrigin(), useRawOrigin()];
  // Responses are changed, so none of them can pass user space.
  const proxy = useProxy(
    engine,
    () => ({
      config: {
        workers: 2,
        routes: [
          { match: { path: "/sticky/" }, pool: "sticky" },
          { match: { path: "/dying/" }, pool: "dying" },
        ],
        pools: {
          sticky: {
            policy: { name: "cookie-sticky", options: { secret: "a secret of this test" } },
            backends: origins.map(({ address }) => ({ address })),
          },
          dying: {
            policy: {
              name: "cookie-sticky",
              options: {
                secret: "a secret of this test",
                cookie: "home",
                path: "/dying",
                maxAge: 3600,
                secure: true,
              },
            },
            // Nobody listens there.
            backends: [{ address: "127.0.0.1:1", weight: 1000 }, { address: origins[0]!.address }],
          },
        },
      },
      warmUp: false as const,
    }),
    { linked: false },
  );
  beforeEach(() => {
    for (const [i, origin] of origins.entries()) origin.answer(ok(`origin ${i}`));
  });

  const ask = async (path: string, cookie?: string) => {
    const headers = cookie === undefined ? [] : [`cookie: theme=dark; ${cookie}`];
    const answer = await proxy.exchange(request(`GET ${path} HTTP/1.1`, { headers }));
    expect(answer.status).toBe(200);
    return { served: answer.body.toString(), set: answer.fields.get("set-cookie") };
  };
  const pairOf = (set: string | undefined) => set!.split(";")[0]!;

  it("keeps each client with its backend, whichever worker it meets", async () => {
    const homes = new Set<string>();
    // So many that they hardly ever, once in a million runs, go to the same of three by lot.
    for (let client = 0; client < 14; client++) {
      const { served, set } = await ask("/sticky/");
      expect(set).toMatch(/^longsplice-sticky=[\w.-]+; Path=\/; HttpOnly; SameSite=Lax$/);
      for (let n = 0; n < 4; n++)
        expect(await ask("/sticky/", pairOf(set))).toEqual({ served, set: undefined });
      homes.add(served);
    }
    expect(homes.size).toBeGreaterThan(1);
  });

  it("answers a forged cookie with another one", async () => {
    const cookie = pairOf((await ask("/sticky/")).set);
    const forged = cookie.slice(0, -1) + (cookie.endsWith("A") ? "Q" : "A");
    const { set } = await ask("/sticky/", forged);
    expect(set).toMatch(/^longsplice-sticky=/);
    expect(pairOf(set)).not.toBe(forged);
  });

  describe("when the backend of the first choice does not answer", () => {
    it("sets the cookie of the one that did, once", async () => {
      const { served, set } = await ask("/dying/");
      expect(served).toBe("origin 0");
      expect(set).toMatch(/^home=[\w.-]+; Path=\/dying; HttpOnly; SameSite=Lax; Secure; Max-Age=3600$/);
      for (let n = 0; n < 4; n++)
        expect(await ask("/dying/", pairOf(set))).toEqual({ served, set: undefined });
    });
  });
});
