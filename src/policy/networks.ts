import ipaddr from "ipaddr.js";

/** An address or range as numbers: 4 bytes for IPv4, also where it is written as IPv6 (`::ffff:192.0.2.1`), else 16. */
function bytesOf(address: string): number[] | undefined {
  return ipaddr.isValid(address) ? ipaddr.process(address).toByteArray() : undefined;
}

/** The text of an address in one spelling: an IPv4 address never as IPv6. Undefined if it is not an address. */
export function canonicalIp(address: string): string | undefined {
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : undefined;
}

/** True for `10.0.0.0/8`, `2001:db8::/32`, and addresses alone, which are ranges of one. */
export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== undefined;
}

function parseNetwork(text: string): { bytes: number[]; length: number } | undefined {
  const [address = "", prefix, ...more] = text.split("/");
  // ipaddr.js also takes `10.1` and `0x0a000001` for addresses.
  const plain = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address);
  if (!plain || more.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined;
  const bytes = ipaddr.parse(address).toByteArray();
  const length = prefix === undefined ? bytes.length * 8 : Number(prefix);
  if (length > bytes.length * 8) return undefined;
  const mapped = bytesOf(address) as number[];
  // Addresses in it are looked for as IPv4. A larger range holds more than those.
  const within = length - 8 * (bytes.length - mapped.length);
  return within < 0 ? { bytes, length } : { bytes: mapped, length: within };
}

/** The first bits of an address, as a key. */
function prefixKey(bytes: readonly number[], length: number): string {
  const whole = length >> 3;
  const rest = length & 7;
  const head = bytes.slice(0, whole);
  if (rest > 0) head.push((bytes[whole] as number) & (0xff << (8 - rest)));
  return `${bytes.length}/${length}/${head.join(".")}`;
}

/** Values for ranges of IP addresses; of those that hold an address the smallest one counts. */
export class NetworkTable<T> {
  private readonly byPrefix = new Map<string, T>();
  /** Prefix lengths that occur, longest first. */
  private readonly lengths: number[];

  /** @throws RangeError if one of the ranges is none (`isNetwork`), or is there twice */
  constructor(entries: Iterable<readonly [network: string, value: T]>) {
    const lengths = new Set<number>();
    for (const [network, value] of entries) {
      const parsed = parseNetwork(network);
      if (parsed === undefined) throw new RangeError(`${network} is not a range of addresses`);
      const key = prefixKey(parsed.bytes, parsed.length);
      if (this.byPrefix.has(key)) throw new RangeError(`${network} is listed twice`);
      this.byPrefix.set(key, value);
      lengths.add(parsed.length);
    }
    this.lengths = [...lengths].sort((a, b) => b - a);
  }

  /** The value for an address; undefined if no range holds it, or it is not an address. */
  find(address: string): T | undefined {
    const bytes = bytesOf(address);
    if (bytes === undefined) return undefined;
    for (const length of this.lengths) {
      if (length > bytes.length * 8) continue;
      const value = this.byPrefix.get(prefixKey(bytes, length));
      if (value !== undefined) return value;
    }
    return undefined;
  }
}
