import { beforeEach, describe, expect, it } from "vitest";
import { Conduct } from "../../src/pools/conduct.js";
import { LoadTable } from "../../src/pools/load-table.js";
import { type OutlierRules, OutlierWatch, outliersOf, type Watched } from "../../src/pools/outliers.js";

const RULES: OutlierRules = {
  consecutiveFailures: 5,
  failuresFrom: 500,
  interval: 10_000,
  successRateFactor: 1.9,
  latencyFactor: 1.9,
  minBackends: 5,
  minRequests: 100,
  ejection: 30_000,
  maxEjection: 100_000,
  panicThreshold: 50,
};

class Fake implements Watched {
  readonly slot: number;
  readonly conduct: Conduct;
  draining = false;
  usable = true;
  ejected = false;
  details: string[] = [];

  constructor(name: string) {
    this.slot = table.acquire(name);
    this.conduct = new Conduct(table, this.slot);
  }

  eject(detail: string): void {
    this.ejected = true;
    this.details.push(detail);
  }

  readmit(detail: string): void {
    this.ejected = false;
    this.details.push(detail);
  }

  /** What the data plane would write. */
  fails(run: number): void {
    table.write(this.slot, "failures", table.read(this.slot, "failures") + run);
    table.write(this.slot, "failureRun", run);
    table.write(this.slot, "longestRun", run);
  }

  serves(successes: number, failures: number, latency = 1000): void {
    table.write(this.slot, "successes", (table.read(this.slot, "successes") + successes) | 0);
    table.write(this.slot, "failures", table.read(this.slot, "failures") + failures);
    table.write(this.slot, "ewmaMicros", latency);
  }
}

let table: LoadTable;
let backends: Fake[];
const watch = (rules: Partial<OutlierRules> = {}) => new OutlierWatch({ ...RULES, ...rules }, backends, 0);
const ejected = () => backends.map((backend) => Number(backend.ejected)).join("");

beforeEach(() => {
  table = new LoadTable();
  backends = Array.from({ length: 5 }, (_, i) => new Fake(`${i}`));
});

describe("outliers", () => {
  it("are those further from the mean than the factor says", () => {
    expect(outliersOf([1, 1, 1, 1, 0.2], 1.9, "below")).toEqual([false, false, false, false, true]);
    expect(outliersOf([1, 1, 1, 0.2, 0.2], 1.9, "below")).not.toContain(true);
    expect(outliersOf([10, 10, 10, 10, 90], 1.9, "above")).toEqual([false, false, false, false, true]);
    expect(outliersOf([10, 10, 10, 10, 90], 2.1, "above")).not.toContain(true);
  });

  it("are none among those that are nearly alike, however alike the others are", () => {
    expect(outliersOf([1, 1, 1, 1, 0.99], 1.9, "below")).not.toContain(true);
    expect(outliersOf([1000, 1000, 1000, 1000, 1100], 1.9, "above")).not.toContain(true);
  });
});

describe("the watch", () => {
  it("ejects after so many failures in a row, also if a success followed before it looked", () => {
    const watched = watch();
    backends[0]!.fails(4);
    watched.tick(250);
    expect(ejected()).toBe("00000");
    backends[0]!.fails(6);
    table.write(backends[0]!.slot, "failureRun", 0);
    watched.tick(500);
    expect(ejected()).toBe("10000");
    expect(backends[0]!.details).toEqual(["ejected: 6 failures in a row"]);
    expect(backends[0]!.conduct.ejections).toEqual({ failures: 1, success_rate: 0, latency: 0 });
  });

  it("brings back when the time is over, and forgets the failures of before", () => {
    const watched = watch();
    const [first] = backends as [Fake];
    first.fails(5);
    watched.tick(0);
    first.fails(9);
    watched.tick(29_999);
    expect(ejected()).toBe("10000");
    first.fails(9);
    watched.tick(30_000);
    expect(ejected()).toBe("00000");
    expect(first.details.at(-1)).toBe("ejection is over");
    expect(table.read(first.slot, "failureRun")).toBe(0);
  });

  it("ejects for longer each time, up to the longest, and shorter again after intervals of good conduct", () => {
    const watched = watch();
    const [first] = backends as [Fake];
    let now = 0;
    const pass = (time: number) => {
      for (const end = now + time; now < end; watched.tick(now)) now += 250;
    };
    const lasts = () => {
      first.fails(5);
      watched.tick(now);
      expect(first.ejected).toBe(true);
      const begin = now;
      while (first.ejected) pass(250);
      return now - begin;
    };
    expect([lasts(), lasts(), lasts(), lasts()]).toEqual([30_000, 60_000, 90_000, 100_000]);
    for (let i = 0; i < 3; i++) {
      first.serves(1, 0);
      pass(RULES.interval);
    }
    // Three of the four steps are forgiven.
    expect(lasts()).toBe(60_000);
    expect(first.conduct.ejections.failures).toBe(5);
  });

  it("does not forgive a backend that served nothing well", () => {
    const watched = watch();
    const [first] = backends as [Fake];
    first.fails(5);
    watched.tick(0);
    for (let now = 0; now < 100_000; now += 250) watched.tick(now);
    first.fails(5);
    watched.tick(100_000);
    watched.tick(159_999);
    expect(first.ejected).toBe(true);
  });

  it("leaves as many as the threshold says, of those that do not drain", () => {
    const watched = watch();
    for (const backend of backends) backend.fails(5);
    watched.tick(250);
    expect(ejected()).toBe("11000");
    backends[2]!.draining = true;
    backends[2]!.usable = false;
    backends[3]!.fails(5);
    watched.tick(500);
    expect(ejected()).toBe("11000");
  });

  it("may take out all of them without a threshold", () => {
    const watched = watch({ panicThreshold: 0 });
    for (const backend of backends) backend.fails(5);
    watched.tick(250);
    expect(ejected()).toBe("11111");
  });

  it("brings all back when checks took so many that too few are left", () => {
    const watched = watch();
    backends[0]!.fails(5);
    backends[1]!.fails(5);
    watched.tick(250);
    backends[1]!.usable = false;
    backends[4]!.usable = false;
    watched.tick(500);
    // What its checks took out stays out, and is not ejected any longer than it was to be.
    expect(ejected()).toBe("01000");
    expect(backends[0]!.details.at(-1)).toBe("panic threshold");
  });

  it("does not touch what drains or is down", () => {
    const watched = watch();
    backends[0]!.usable = false;
    backends[0]!.fails(50);
    watched.tick(250);
    expect(ejected()).toBe("00000");
  });

  it("compares success rates once per interval, of backends with enough requests", () => {
    const watched = watch();
    for (const backend of backends) backend.serves(backend === backends[3] ? 60 : 100, 40);
    backends[3]!.serves(0, 60);
    watched.tick(9999);
    expect(ejected()).toBe("00000");
    watched.tick(10_000);
    expect(ejected()).toBe("00010");
    expect(backends[3]!.details).toEqual(["ejected: success rate 37.5 %"]);
    expect(backends[3]!.conduct.ejections.success_rate).toBe(1);
  });

  it("compares nothing if too few backends had enough requests, or all are alike", () => {
    const watched = watch();
    for (const backend of backends) backend.serves(99, backend === backends[0] ? 99 : 0);
    watched.tick(10_000);
    for (const backend of backends) backend.serves(50, 50);
    watched.tick(20_000);
    expect(ejected()).toBe("00000");
  });

  it("counts on when the counters wrap", () => {
    for (const backend of backends) backend.serves(2 ** 31 - 10, 0);
    const watched = watch();
    watched.tick(10_000);
    for (const backend of backends) backend.serves(backend === backends[0] ? 20 : 100, 0);
    backends[0]!.serves(0, 80);
    watched.tick(20_000);
    expect(ejected()).toBe("10000");
  });

  it("compares latencies where it is told to", () => {
    const slow = () => {
      for (const backend of backends) backend.serves(100, 0, backend === backends[2] ? 80_000 : 10_000);
    };
    const blind = watch({ latencyFactor: 0 });
    slow();
    blind.tick(10_000);
    expect(ejected()).toBe("00000");
    const watched = watch();
    slow();
    watched.tick(10_000);
    expect(ejected()).toBe("00100");
    expect(backends[2]!.details).toEqual(["ejected: latency 80.0 ms"]);
  });
});
