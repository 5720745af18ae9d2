import {
  type Backend,
  type Candidates,
  definePolicy,
  type ExchangeSummary,
  type Policy,
  type PolicyEnv,
  type RequestHead,
  type SelectContext,
  z,
} from "../../src/policy/index.js";
import { BackendNumbers } from "../by-slot.js";
import { UrlTable, urlEntries } from "../url-table.js";
import { Kinds, KNOWN_KINDS, MOST_KINDS, OTHER } from "./kinds.js";
import { LearnedKinds } from "./learned.js";

const kindName = z.string().regex(/^[a-z][a-z0-9-]*$/, "expected small letters, digits and hyphens");
const extensionOrType = z
  .string()
  .regex(/^[A-Za-z0-9]{1,15}$|^[\w.+-]+\/[\w.+-]+$/, "expected an extension without dot, or a media type");
const kindCount = (kinds: object) => new Set([...KNOWN_KINDS, ...Object.keys(kinds)]).size;

const options = z
  .strictObject({
    label: z.string().default("content"),
    kinds: z
      .record(kindName, z.array(extensionOrType))
      .refine(
        (kinds) => kindCount(kinds) <= MOST_KINDS,
        `more than ${MOST_KINDS} kinds, the known ones included`,
      )
      .default({}),
    accept: z.boolean().default(true),
    learn: z.boolean().default(false),
    entries: urlEntries,
    strict: z.boolean().default(false),
  })
  .prefault({});

/** The bits of a backend without the label. */
const EVERYTHING = -1;

type Options = z.output<typeof options>;

/** Narrows to the backends that say of themselves that they serve this kind of content (README.md). */
class ContentType implements Policy {
  readonly onDone?: (summary: ExchangeSummary) => void;
  private readonly kinds: Kinds;
  /** The kinds that backends serve, as bits. */
  private readonly served: BackendNumbers;
  private readonly learned: LearnedKinds | undefined;
  /** By position: 1 for the candidates that serve the kind that is asked for now. */
  private serving = new Uint8Array(16);

  constructor(
    private readonly options: Options,
    env: PolicyEnv,
  ) {
    this.kinds = new Kinds(options.kinds);
    this.served = new BackendNumbers(env.backends, (backend) => this.kindsOf(backend));
    if (!options.learn) return;
    const learned = new LearnedKinds(this.kinds, options.entries, env);
    this.learned = learned;
    this.onDone = (summary) => learned.learn(summary);
  }

  select(head: RequestHead, candidates: Candidates, context: SelectContext): void {
    const kind = this.kindOf(head, context);
    const count = candidates.length;
    if (count > this.serving.length) this.serving = new Uint8Array(2 * count);
    this.served.take(candidates);
    let serving = 0;
    for (let i = 0; i < count; i++) {
      const serves = (this.served.at(candidates, i) >>> kind) & 1;
      this.serving[i] = serves;
      serving += serves;
    }
    if (serving === count) return;
    if (serving > 0) candidates.filter(this.isServing);
    else if (this.options.strict) candidates.refuse();
  }

  private kindOf(head: RequestHead, context: SelectContext): number {
    const learned = this.learned?.kindOf(head, context.now) ?? -1;
    if (learned >= 0) return learned;
    const byPath = this.kinds.ofPath(head.path);
    if (byPath >= 0) return byPath;
    const accept = this.options.accept ? head.header("accept") : undefined;
    const byAccept = accept === undefined ? -1 : this.kinds.ofAccept(accept);
    return byAccept >= 0 ? byAccept : OTHER;
  }

  /** Made once: a function for each choice would be garbage. */
  private readonly isServing = (position: number): boolean => this.serving[position] === 1;

  private kindsOf({ address, labels }: Backend): number {
    const { label } = this.options;
    const text = labels[label];
    if (text === undefined) return EVERYTHING;
    let bits = 0;
    for (const word of text.split(/[\s,]+/).filter((each) => each !== "")) {
      const kind = this.kinds.names.indexOf(word);
      if (kind >= 0) bits |= 1 << kind;
      else {
        const known = this.kinds.names.join(", ");
        throw new RangeError(`label "${label}" of ${address} names "${word}", the kinds are ${known}`);
      }
    }
    return bits;
  }
}

/** `content-type`: narrows to the backends whose label names the kind of what is asked for. Options: README.md. */
export const contentType = definePolicy({
  name: "content-type",
  apiVersion: 1,
  options,
  choosesBy: ({ accept, learn }) => (accept || learn ? "request" : "target"),
  needs: ({ accept, learn }) => ({
    headers: accept ? ["accept"] : [],
    ...(learn ? { responseHeaders: ["content-type"] } : {}),
  }),
  sharedBytes: ({ learn, entries }) => (learn ? UrlTable.bytesFor(entries) : 0),
  create: (chosen, env) => new ContentType(chosen, env),
});
