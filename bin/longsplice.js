#!/usr/bin/env node
import { existsSync } from "node:fs";

const main = new URL("../dist/src/cli/main.js", import.meta.url);

if (existsSync(main)) {
  const code = await (await import(main.href)).main(process.argv.slice(2));
  // What was printed shall arrive. Nothing else is waited for: a timer that a plugin forgot, for example.
  const printing = [process.stdout, process.stderr].filter(({ writableLength }) => writableLength > 0);
  await Promise.all(printing.map((stream) => new Promise((done) => stream.write("", done))));
  process.exit(code);
} else {
  process.stderr.write("longsplice is not built yet: run `npm run build` in its folder\n");
  process.exitCode = 2;
}
