import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ModuleKind, ScriptTarget, transpileModule } from "typescript";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LineSink } from "../../src/observe/line-sink.js";
import { createLog } from "../../src/observe/log.js";

let folder: string;
const openFds: number[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "longsplice-log-"));
});

afterEach(() => {
  for (const fd of openFds.splice(0)) closeSync(fd);
  rmSync(folder, { recursive: true });
});

function open(path: string, flags: number | string): number {
  const fd = openSync(path, flags);
  openFds.push(fd);
  return fd;
}

/** A pipe with both ends in this process; the reader does not block. */
function makePipe(): { reader: number; writer: number } {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  return { reader: open(path, constants.O_RDONLY | constants.O_NONBLOCK), writer: open(path, "w") };
}

function makeFile(): { path: string; fd: number } {
  const path = join(folder, "out");
  writeFileSync(path, "");
  return { path, fd: open(path, "w") };
}

/** Reads a pipe until a pause of 50 ms with nothing new. */
async function readAll(reader: number): Promise<string> {
  const buffer = Buffer.alloc(65536);
  let text = "";
  for (let idle = 0; idle < 10; ) {
    let length = 0;
    try {
      length = readSync(reader, buffer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    }
    text += buffer.toString("latin1", 0, length);
    idle = length === 0 ? idle + 1 : 0;
    if (length === 0) await sleep(5);
  }
  return text;
}

describe("the log", () => {
  it("writes one JSON object a line, with the level as a word and an ISO time", () => {
    const { path, fd } = makeFile();
    const log = createLog("info", new LineSink(fd));
    log.logger.info({ pool: "api" }, "started");
    log.logger.debug("not written");
    log.close();
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    expect(lines).toHaveLength(1);
    const { time, ...rest } = JSON.parse(lines[0] as string);
    expect(rest).toEqual({ level: "info", pool: "api", msg: "started" });
    expect(new Date(time).toISOString()).toBe(time);
  });

  it.each(["info", "error", "silent"] as const)("writes the ready line at level %s", (level) => {
    const { path, fd } = makeFile();
    const log = createLog(level, new LineSink(fd));
    log.ready(["127.0.0.1:8080", "[::1]:8080"], null);
    log.close();
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      msg: "ready",
      listeners: ["127.0.0.1:8080", "[::1]:8080"],
      admin: null,
    });
  });

  it("has a fatal line on disk before the call returns", () => {
    const { path, fd } = makeFile();
    createLog("info", new LineSink(fd)).logger.fatal({ err: new Error("boom") }, "giving up");
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      level: "fatal",
      msg: "giving up",
      err: { message: "boom" },
    });
  });

  it("keeps lines whole and in order when both kinds share a pipe with a slow reader", async () => {
    const { reader, writer } = makePipe();
    const sink = new LineSink(writer);
    const log = createLog("info", sink);
    const rounds = 400;
    for (let i = 0; i < rounds; i++) {
      log.writeAccess(Buffer.from(`{"access":${i},"pad":"${"a".repeat(500)}"}\n{"access":${i}.5}\n`));
      log.logger.info({ i, pad: "d".repeat(500) }, "diagnostic");
    }
    const objects = (await readAll(reader))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(objects.map((o) => o.access ?? `log ${o.i}`)).toEqual(
      Array.from({ length: rounds }, (_, i) => [i, i + 0.5, `log ${i}`]).flat(),
    );
    expect(log.dropped()).toBe(0);
    sink.close();
  });
});

describe("a sink whose reader is in trouble", () => {
  it("drops whole writes beyond its bound, counts their lines, and goes on when the reader does", async () => {
    const { reader, writer } = makePipe();
    const sink = new LineSink(writer, { maxBytes: 100_000 });
    const two = `${"x".repeat(499)}\n`.repeat(2);
    for (let i = 0; i < 1000; i++) sink.write(two);
    sink.flushSync(0);
    expect(sink.dropped).toBe(2000 - 2 * 100);
    const text = await readAll(reader);
    expect(text).toBe(two.repeat(100));
    sink.write("after\n");
    sink.flushSync();
    expect(await readAll(reader)).toBe("after\n");
    sink.close();
  });

  it("falls silent when the pipe is closed, and counts what is lost", () => {
    const { reader, writer } = makePipe();
    const sink = new LineSink(writer);
    closeSync(openFds.splice(openFds.indexOf(reader), 1)[0] as number);
    sink.write("one\ntwo\n");
    sink.flushSync();
    sink.write("three\n");
    sink.flushSync();
    expect(sink.dropped).toBe(3);
    sink.close();
  });

  it("loses only the lines at hand when the disk is full", () => {
    const sink = new LineSink(open("/dev/full", "w"));
    sink.write("one\n");
    sink.flushSync();
    expect(sink.dropped).toBe(1);
    sink.write("two\n");
    sink.flushSync();
    expect(sink.dropped).toBe(2);
  });

  // Compiled here: a loader such as tsx touches standard output itself and would hide what the sink does.
  const source = readFileSync(new URL("../../src/observe/line-sink.ts", import.meta.url), "utf8");
  const { outputText } = transpileModule(source, {
    compilerOptions: { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 },
  });
  const program = `${outputText}
    const sink = new LineSink(1);
    process.once("exit", () => sink.flushSync());
    for (let i = 0; i < 200; i++) sink.write("x".repeat(10_000) + "\\n");
    setTimeout(() => process.exit(sink.dropped === 0 ? 7 : 8), 50);
  `;

  it.each(["pipe", "socket"] as const)(
    "does not keep a process from exiting: %s",
    async (kind) => {
      // Node gives a child a socket for "pipe"; a real pipe has to come from outside.
      const stdout = kind === "pipe" ? makePipe().writer : "pipe";
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        stdio: ["ignore", stdout, "inherit"],
      });
      child.stdout?.pause();
      const watchdog = setTimeout(() => child.kill("SIGKILL"), 40_000);
      const [code] = await once(child, "exit");
      clearTimeout(watchdog);
      expect(code).toBe(7);
    },
    60_000,
  );
});
