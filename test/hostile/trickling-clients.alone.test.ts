import { expect, it } from "vitest";
import { forEachEngine } from "../support/engines.js";
import { countAnswers, startQuickOrigin } from "../support/hostile-closed-loop.js";
import { TrickleProcess } from "../support/hostile-trickle.js";
import { startProxy } from "../support/proxy.js";

const TRICKLERS = 5_000;
const QUICK_CLIENTS = 8;
const ROUND_MS = 500;
const ROUNDS = 3;
/** Other work on the machine can spoil one attempt; a proxy that slows down fails them all. */
const ATTEMPTS = 6;

const median = (numbers: readonly number[]): number =>
  numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

forEachEngine("clients that trickle their heads", (engine) => {
  it(`leave a well-behaved client 80 % of its throughput when there are ${TRICKLERS}`, async () => {
    const proxy = await startProxy({ engine, backends: [await startQuickOrigin()] });
    const active = async () => (await proxy.metrics()).sum("longsplice_connections_active");
    const rounds = async (count: number) => {
      const counts: number[] = [];
      for (let i = 0; i < count; i++) counts.push(await countAnswers(proxy.port, QUICK_CLIENTS, ROUND_MS));
      return counts;
    };
    /** The throughput beside the tricklers, as a part of that without them before and after. */
    const shareLeft = async () => {
      const before = await rounds(ROUNDS);
      const tricklers = await TrickleProcess.start(proxy.port, TRICKLERS);
      const during = await rounds(2 * ROUNDS - 1);
      expect(await active()).toBeGreaterThan(TRICKLERS * 0.9);
      await tricklers.stop();
      await expect.poll(active, { timeout: 30_000 }).toBeLessThan(50);
      const after = await rounds(ROUNDS);
      return median(during) / median([...before, ...after]);
    };
    await rounds(1);
    const shares: number[] = [];
    while (shares.length < ATTEMPTS && !shares.some((share) => share >= 0.8)) shares.push(await shareLeft());
    expect(Math.max(...shares), `shares: ${shares}`).toBeGreaterThanOrEqual(0.8);
  });

  it("are thrown out with 408 when their time is over, however steadily they trickle", async () => {
    const proxy = await startProxy({
      engine,
      backends: [await startQuickOrigin()],
      config: { timeouts: { header: "400ms" } },
    });
    const clients = await Promise.all(Array.from({ length: 200 }, () => proxy.connect()));
    await Promise.all(
      clients.map(async (client) => {
        await client.send("GET / HTTP/1.1\r\nhost: test.example\r\nx-slow: ");
        await client.dribble("a".repeat(100), 1, 20);
      }),
    );
    for (const client of clients) {
      await client.ended();
      expect(client.received.toString()).toMatch(/^HTTP\/1\.1 408 /);
    }
  });
});
