import { InvalidValue } from "./problem.js";
import { show } from "./show.js";

/** Names of network interfaces; `auto`: all that connections can come and go by. */
export type Interfaces = "auto" | readonly string[];

/** IFNAMSIZ of linux/if.h without the NUL at the end. */
const MAX_NAME_BYTES = 15;

/** The name of a network interface, or `auto`. Throws InvalidValue. */
export function parseInterface(text: string): string {
  const fits = text !== "" && Buffer.byteLength(text) <= MAX_NAME_BYTES;
  // What the kernel's dev_valid_name() refuses.
  if (fits && text !== "." && text !== ".." && !/[\s/:\0]/.test(text)) return text;
  const expected = `expected at most ${MAX_NAME_BYTES} bytes without blanks, slashes and colons`;
  throw new InvalidValue("LS_CONFIG_VALUE", `${show(text)} is not the name of an interface, ${expected}`);
}

/** What a list of names says. Throws InvalidValue for a name that is there twice, and for `auto` beside others. */
export function interfaceSetting(names: readonly string[]): Interfaces {
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) {
    throw new InvalidValue("LS_CONFIG_DUPLICATE", `the interface ${show(twice)} is there twice`);
  }
  if (!names.includes("auto")) return names;
  if (names.length === 1) return "auto";
  throw new InvalidValue("LS_CONFIG_CONFLICT", '"auto" stands for all interfaces, expected it alone');
}
