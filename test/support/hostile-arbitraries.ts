/** Random material for the hostile tests: header lines that are right but odd, and messages with damaged bytes. */
import fc from "fast-check";

const characters = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String.fromCharCode(from + index));
const join = (parts: readonly string[]) => parts.join("");

const TOKEN_CHARACTERS = [
  ...characters(0x30, 0x39),
  ...characters(0x41, 0x5a),
  ...characters(0x61, 0x7a),
  ..."!#$%&'*+-.^_`|~",
];
const VALUE_CHARACTERS = ["\t", ...characters(0x20, 0x7e), ...characters(0x80, 0xff)];

const blank = fc.constantFrom("", " ", "\t", " \t  ");
// The prefix keeps them apart from the fields that mean something.
const name = fc
  .tuple(
    fc.constantFrom("x-", "X-"),
    fc.array(fc.constantFrom(...TOKEN_CHARACTERS), { maxLength: 6 }).map(join),
  )
  .map(join);
const value = fc.array(fc.constantFrom(...VALUE_CHARACTERS), { maxLength: 12 }).map(join);
const endToEnd = fc.tuple(name, fc.constant(":"), blank, value, blank).map(join);
const hopByHop = fc.constantFrom(
  "Connection: x-a",
  "connection:,keep-alive ,, X-0\t,",
  "Keep-Alive: timeout=7",
  "Proxy-Connection:keep-alive",
  "TE:trailers",
  "x-a: nominated, perhaps",
);

/** Up to 12 good header lines, with odd spacing and case, empty values, repetition, and bytes beyond ASCII. */
export const oddFields = fc
  .array(fc.oneof({ weight: 4, arbitrary: endToEnd }, { weight: 1, arbitrary: hopByHop }), {
    minLength: 1,
    maxLength: 12,
  })
  .chain((lines) => fc.subarray(lines).map((repeated) => [...lines, ...repeated]));

/** Places to cut a message at; mostly none or few. */
export const places = fc.array(fc.noBias(fc.nat(300)), { maxLength: 4 });

/** What tends to confuse parsers. */
const HARMFUL = [
  ..."\0\t\n\v\f\r :;,#%/0a\x1b\x7f\x80\xff",
  "\r\n",
  "\r\n\r\n",
  " chunked",
  "content-length: 1\r\n",
];

/** Uniform from 0 up to, but not, 1. fast-check's doubles and biased integers are nearly always near 0. */
const share = fc.noBias(fc.nat(9_999)).map((number) => number / 10_000);

const damage = fc.record({
  where: share,
  remove: fc.constantFrom(0, 0, 1, 1, 2, 9),
  insert: fc.oneof(fc.constant(""), fc.constantFrom(...HARMFUL)),
});

/** How much of a message is left, from its beginning: mostly all of it. */
const left = fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: share });

/** One of those messages with one or two places damaged, and sometimes without its end. */
export const damaged = (messages: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...messages), fc.array(damage, { minLength: 1, maxLength: 2 }), left)
    .map(([message, damages, fraction]) => {
      const whole = damages.reduce((text, { where, remove, insert }) => {
        const at = Math.floor(where * text.length);
        return text.slice(0, at) + insert + text.slice(at + remove);
      }, message);
      return whole.slice(0, Math.ceil(fraction * whole.length));
    });
