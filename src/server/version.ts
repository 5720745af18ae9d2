import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The version of this package. */
export const version: string = (
  JSON.parse(readFileSync(fileURLToPath(import.meta.resolve("longsplice/package.json")), "utf8")) as {
    version: string;
  }
).version;
