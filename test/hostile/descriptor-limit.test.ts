import { expect, it } from "vitest";
import { ok, request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { startRawOrigin } from "../support/fixtures.js";
import { cpuShare, limitFds } from "../support/hostile-process.js";
import { readResponse } from "../support/message.js";
import { openFds } from "../support/process-info.js";
import { startProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";
import type { Wire } from "../support/wire.js";

/** For connections; how many a process holds itself differs by engine. */
const ROOM = 40;

forEachEngine("a process that runs out of file descriptors", (engine) => {
  it("waits without spinning, says why, serves who is in, and takes up again", async () => {
    const origin = await startRawOrigin();
    origin.answer(ok("served"));
    const proxy = await startProxy({ engine, backends: [origin.address] });
    const most = openFds(proxy.pid) + ROOM;
    limitFds(proxy.pid, most);
    const insider = await proxy.connect();
    const ask = async (client: Wire) => {
      await client.send(request());
      return (await readResponse(client)).body.toString();
    };
    expect(await ask(insider)).toBe("served");

    // The kernel completes all of them; the proxy has descriptors for some.
    const crowd = await Promise.all(Array.from({ length: 4 * ROOM }, () => proxy.connectCold()));
    await eventually("all descriptors in use", () => openFds(proxy.pid) >= most);
    const complaint = await proxy.logged(/cannot accept.*too many open files/i);
    expect(complaint.level).toMatch(/error/i);
    expect(await cpuShare(proxy.pid, 2_000)).toBeLessThan(0.2);
    // No line for every attempt.
    expect(proxy.logs.filter(({ msg }) => /cannot accept/.test(msg ?? "")).length).toBeLessThan(4);
    expect(await ask(insider)).toBe("served");

    for (const client of crowd) client.reset();
    await eventually("descriptors to spare", () => openFds(proxy.pid) < most - 8);
    const late = await Promise.all(Array.from({ length: 4 }, () => proxy.connect()));
    for (const client of late) expect(await ask(client)).toBe("served");
    expect(await ask(insider)).toBe("served");
  });

  it("answers 503 when none is left for a backend's connection, and goes on with what there is", async () => {
    const origin = await startRawOrigin();
    const answers: (() => void)[] = [];
    origin.answer(async () => {
      await new Promise<void>((resolve) => answers.push(resolve));
      return ok("served");
    });
    const proxy = await startProxy({ engine, backends: [origin.address] });
    const [first, second] = [await proxy.connectCold(), await proxy.connectCold()];
    await first.send(request());
    await eventually("the first request at the origin", () => answers.length === 1);
    limitFds(proxy.pid, openFds(proxy.pid) + ROOM);
    for (let i = 0; i < 2 * ROOM; i++) await proxy.connectCold();
    await proxy.logged(/cannot accept/);
    await second.send(request());
    expect((await readResponse(second)).status).toBe(503);
    answers[0]?.();
    expect((await readResponse(first)).body.toString()).toBe("served");
    // The connection that the first one left is there for everybody.
    await second.send(request());
    await eventually("the second request at the origin", () => answers.length === 2);
    answers[1]?.();
    expect((await readResponse(second)).body.toString()).toBe("served");
  });

  it("answers those that wait when others leave", async () => {
    const origin = await startRawOrigin();
    origin.answer(ok("served"));
    const proxy = await startProxy({ engine, backends: [origin.address] });
    limitFds(proxy.pid, openFds(proxy.pid) + ROOM);
    const crowd = await Promise.all(Array.from({ length: 2 * ROOM }, () => proxy.connectCold()));
    await proxy.logged(/cannot accept/);
    const waiting = await proxy.connectCold();
    await waiting.send(request());
    await delay(200);
    expect(waiting.receivedLength).toBe(0);
    for (const client of crowd) client.reset();
    expect((await readResponse(waiting)).body.toString()).toBe("served");
  });
});
