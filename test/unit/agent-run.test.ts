import { Server } from "node:net";
import { expect, it, vi } from "vitest";
import { runAgent } from "../../src/agent/index.js";
import { PATIENCE_MS } from "../support/wait.js";

const logged = vi.hoisted(() => [] as string[]);
vi.mock("../../src/observe/index.js", () => {
  const note = (_: unknown, message: string) => void logged.push(message);
  return { createLog: () => ({ logger: { info: note, error: note }, close: () => {} }) };
});

it("an agent goes on when it cannot accept a connection", async () => {
  const listen = vi.spyOn(Server.prototype, "listen");
  const address = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
  const ended = runAgent({ listen: address, agentCheck: address });
  await vi.waitFor(() => expect(logged).toEqual(["ready"]), PATIENCE_MS);
  const servers = listen.mock.contexts as Server[];
  expect(servers).toHaveLength(2);
  for (const server of servers) server.emit("error", new Error("accept EMFILE"));
  expect(logged.slice(1)).toEqual(Array(2).fill("a connection could not be accepted"));
  process.emit("SIGTERM");
  expect(await ended).toBe(0);
});
