import {
  type ChoiceBasis,
  type PolicyNeeds,
  type RequestHead,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import type { Lots } from "../lots.js";
import { TextHash } from "./text-hash.js";

/** The name of a header, as an option. */
export const headerName = z
  .string({ error: "expected the name of a header" })
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, "expected the name of a header");

/** The option `key`: which part of the request decides. */
export const hashKey = z.union(
  [z.enum(["path", "target", "host", "client"]), z.strictObject({ header: headerName })],
  { error: "expected path, target, host, client or { header: NAME }" },
);

/** See `hashKey`. */
export type HashKey = z.infer<typeof hashKey>;

/** What a choice by this key depends on. With a bound it is the load as well, which nobody looks at for requests that pass in the kernel. */
export function basisOf(key: HashKey, bound: number | undefined): ChoiceBasis {
  if (bound !== undefined || typeof key === "object") return "request";
  return key === "client" ? "client" : "target";
}

/** The headers that this key takes. */
export function needsOf(key: HashKey): PolicyNeeds {
  return { headers: typeof key === "string" ? [] : [key.header] };
}

/** Takes the hashes of requests' keys. */
export class KeyReader {
  /** Of the last key. */
  readonly hash = new TextHash();
  private readonly header: string;

  constructor(
    private readonly key: HashKey,
    private readonly lots: Lots,
  ) {
    this.header = typeof key === "string" ? "" : key.header.toLowerCase();
  }

  /** Takes the hash of a request's key. False if it has none: the header is missing or empty, or the client has no address. */
  read(head: RequestHead, context: SelectContext): boolean {
    const text = this.text(head, context);
    if (text === undefined || text === "") return false;
    this.hash.take(text);
    return true;
  }

  /** Draws the hash of a key by lot, for a request that has none. */
  draw(): void {
    this.hash.a = (this.lots.below(2 ** 16) << 16) | this.lots.below(2 ** 16);
    this.hash.b = (this.lots.below(2 ** 16) << 16) | this.lots.below(2 ** 16);
  }

  private text(head: RequestHead, context: SelectContext): string | undefined {
    switch (this.key) {
      case "path":
        return head.path;
      case "target":
        return head.target;
      case "host":
        return head.host;
      case "client":
        return context.clientAddress;
      default:
        return head.header(this.header);
    }
  }
}
