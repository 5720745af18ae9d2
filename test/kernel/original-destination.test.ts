import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { join, Namespace } from "../support/netns.js";
import { within } from "../support/wait.js";

const BIN = fileURLToPath(new URL("../../bin/longsplice.js", import.meta.url));

/** An origin that answers with the address it was reached at. */
const ORIGIN = `
  require("node:http").createServer((request, response) => {
    response.end(request.socket.localAddress.replace("::ffff:", ""));
  }).listen(80, "::", () => console.log("up"));`;

/** Resolves when the child has written a line with `text`. */
function says(child: { stdout: NodeJS.ReadableStream | null }, text: string): Promise<void> {
  const said = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout! }).on("line", (line) => {
      if (line.includes(text)) resolve();
    });
  });
  return within(said, 45_000, text);
}

/** client - router with the proxy and a redirect of port 80 - backend with two addresses of each family. */
async function makeNetwork(redirect: boolean) {
  const [client, router, backend] = [new Namespace(), new Namespace(), new Namespace()];
  join(
    { in: client, name: "uplink", addresses: ["10.77.1.2/24", "fd77:1::2/64"] },
    { in: router, name: "clients", addresses: ["10.77.1.1/24", "fd77:1::1/64"] },
  );
  join(
    { in: router, name: "backends", addresses: ["10.77.2.1/24", "fd77:2::1/64"] },
    {
      in: backend,
      name: "uplink",
      addresses: ["10.77.2.2/24", "10.77.2.3/24", "fd77:2::2/64", "fd77:2::3/64"],
    },
  );
  client.ip("route", "add", "default", "via", "10.77.1.1");
  client.ip("-6", "route", "add", "default", "via", "fd77:1::1");
  if (redirect) {
    const rules = `table inet proxy { chain in { type nat hook prerouting priority dstnat;
      iifname "clients" tcp dport 80 redirect to :8080; }; }`;
    router.run("nft", ["-f", "-"], rules);
  }
  await says(backend.start(process.execPath, ["-e", ORIGIN]), "up");
  const folder = mkdtempSync(joinPath(tmpdir(), "longsplice-kernel-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = joinPath(folder, "longsplice.yaml");
  writeFileSync(
    file,
    `listeners: [{ address: "[::]:8080" }]
routes: [{ pool: web }]
pools: { web: { backends: [{ address: original-destination }] } }
workers: 2
`,
  );
  const proxy = router.start(process.execPath, [BIN, "run", "-c", file]);
  await says(proxy, '"msg":"ready"');
  // Three times on one connection: links begin at the second request.
  const get = (url: string) => client.run("curl", ["-sS", "-g", "-w", " %{http_code}\n", url, url, url]);
  return { get };
}

describe("a backend at the original destination", () => {
  it("is the one that each client asked for, before nftables redirected it", async () => {
    const { get } = await makeNetwork(true);
    for (const address of ["10.77.2.2", "10.77.2.3", "10.77.2.2"]) {
      expect(get(`http://${address}/`)).toBe(`${address} 200\n`.repeat(3));
    }
    for (const address of ["fd77:2::2", "fd77:2::3"]) {
      expect(get(`http://[${address}]/`)).toBe(`${address} 200\n`.repeat(3));
    }
  });

  it("is refused with 502 where nothing was redirected, because it would be the proxy itself", async () => {
    const { get } = await makeNetwork(false);
    expect(get("http://10.77.1.1:8080/")).toMatch(/^(.* 502\n){3}$/s);
    expect(get("http://[fd77:1::1]:8080/")).toMatch(/^(.* 502\n){3}$/s);
  });
});
