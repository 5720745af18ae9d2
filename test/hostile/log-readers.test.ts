import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { ok, request } from "../support/build.js";
import { engineFlags, forEachEngine } from "../support/engines.js";
import { startRawOrigin } from "../support/fixtures.js";
import { readResponse } from "../support/message.js";
import { BIN, portOf } from "../support/proxy.js";
import { eventually, START_MS, within } from "../support/wait.js";
import { Wire } from "../support/wire.js";

/** More lines than a pipe or a socket holds. */
const REQUESTS = 3_000;

type Start = (stdout: "pipe" | number) => ChildProcess;

const readyLine = (text: string): string | undefined =>
  text.split("\n").find((line) => line.includes('"msg":"ready"'));

/** What stands in the output so far, and never anything again. */
const readers: Record<string, (start: Start) => Promise<{ child: ChildProcess; ready: string }>> = {
  // Node gives a child a socket for "pipe".
  "a socket": async (start) => {
    const child = start("pipe");
    let text = "";
    const ready = await new Promise<string>((resolve) => {
      child.stdout!.on("data", (more) => {
        text += String(more);
        const line = readyLine(text);
        if (line !== undefined) resolve(line);
      });
    });
    child.stdout!.pause();
    return { child, ready };
  },
  "a pipe": async (start) => {
    const directory = mkdtempSync(join(tmpdir(), "longsplice-log-"));
    const path = join(directory, "pipe");
    execFileSync("mkfifo", [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, "w");
    onTestFinished(() => {
      closeSync(reader);
      rmSync(directory, { recursive: true });
    });
    const child = start(writer);
    const buffer = Buffer.alloc(4096);
    let text = "";
    const read = () => {
      try {
        text += buffer.toString("utf8", 0, readSync(reader, buffer));
      } catch {
        // Nothing is there yet.
      }
      return readyLine(text);
    };
    const ready = await eventually("the ready line", read, START_MS);
    closeSync(writer);
    return { child, ready };
  },
};

forEachEngine("a reader of the log that hangs", (engine) => {
  it.each(Object.keys(readers))("on %s neither stops traffic nor the end", async (kind) => {
    const origin = await startRawOrigin();
    origin.answer(ok());
    const flags = ["--listen", "127.0.0.1:0", "--backend", origin.address, ...engineFlags(engine)];
    const { child, ready } = await readers[kind]!((stdout) =>
      spawn(process.execPath, [BIN, "run", ...flags, "--workers", "1", "--access-log", "json"], {
        stdio: ["ignore", stdout, "inherit"],
      }),
    );
    onTestFinished(() => void child.kill("SIGKILL"));
    const client = await Wire.connect(portOf((JSON.parse(ready) as { listeners: string[] }).listeners[0]!));
    for (let i = 0; i < REQUESTS; i++) {
      await client.send(request());
      expect((await readResponse(client)).status).toBe(200);
    }
    client.destroy();
    const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
    child.kill("SIGTERM");
    expect(await within(exited, 20_000, "the proxy's exit")).toBe(0);
  });
});
