/** Writes databases in the format MMDB (https://maxmind.github.io/MaxMind-DB/), as small as a test needs them. */
import ipaddr from "ipaddr.js";

type Value = string | number | { readonly [key: string]: Value };
/** A child of a node: another node, a record by its place in the data section, or nothing. */
type Child = { node: number } | { data: number } | undefined;

const Type = { text: 2, double: 3, uint16: 5, uint32: 6, map: 7, array: 11 } as const;

/** A database of these ranges; none may lie in another. With `ipVersion` 6 it holds IPv4 ranges too. */
export function writeMmdb(
  entries: readonly (readonly [range: string, record: Value])[],
  ipVersion: 4 | 6 = 6,
): Buffer {
  const nodes: [Child, Child][] = [[undefined, undefined]];
  const data: Buffer[] = [];
  let size = 0;
  for (const [range, record] of entries) {
    const encoded = encode(record);
    insert(nodes, bitsOf(range, ipVersion), { data: size });
    data.push(encoded);
    size += encoded.length;
  }
  const tree = Buffer.alloc(nodes.length * 6);
  for (const [i, [left, right]] of nodes.entries()) {
    tree.writeUIntBE(pointer(left, nodes.length), i * 6, 3);
    tree.writeUIntBE(pointer(right, nodes.length), i * 6 + 3, 3);
  }
  return Buffer.concat([
    tree,
    Buffer.alloc(16),
    ...data,
    Buffer.from("\xab\xcd\xefMaxMind.com", "latin1"),
    metadata(nodes.length, ipVersion),
  ]);
}

function bitsOf(range: string, ipVersion: 4 | 6): number[] {
  const [address, length] = ipaddr.parseCIDR(range);
  const bytes = address.toByteArray();
  const bits = bytes
    .flatMap((byte) => [7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (byte >> bit) & 1))
    .slice(0, length);
  return bytes.length === 4 && ipVersion === 6 ? [...new Array<number>(96).fill(0), ...bits] : bits;
}

function insert(nodes: [Child, Child][], bits: readonly number[], leaf: Child): void {
  let node = nodes[0]!;
  for (const bit of bits.slice(0, -1)) {
    const child = node[bit];
    const next = child !== undefined && "node" in child ? child.node : nodes.push([undefined, undefined]) - 1;
    node[bit] = { node: next };
    node = nodes[next]!;
  }
  node[bits.at(-1)!] = leaf;
}

function pointer(child: Child, count: number): number {
  if (child === undefined) return count;
  return "node" in child ? child.node : count + 16 + child.data;
}

function metadata(nodeCount: number, ipVersion: number): Buffer {
  const fields: [string, Buffer][] = [
    ["binary_format_major_version", number(Type.uint16, 2)],
    ["binary_format_minor_version", number(Type.uint16, 0)],
    ["build_epoch", number(Type.uint32, 1_700_000_000)],
    ["database_type", encode("test")],
    ["description", encode({})],
    ["ip_version", number(Type.uint16, ipVersion)],
    ["languages", control(Type.array, 0)],
    ["node_count", number(Type.uint32, nodeCount)],
    ["record_size", number(Type.uint16, 24)],
  ];
  return Buffer.concat([
    control(Type.map, fields.length),
    ...fields.flatMap(([key, value]) => [encode(key), value]),
  ]);
}

/** Texts, numbers (as doubles) and mappings. */
function encode(value: Value): Buffer {
  if (typeof value === "string") {
    const text = Buffer.from(value);
    return Buffer.concat([control(Type.text, text.length), text]);
  }
  if (typeof value === "number") {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return Buffer.concat([control(Type.double, 8), bytes]);
  }
  const entries = Object.entries(value);
  return Buffer.concat([
    control(Type.map, entries.length),
    ...entries.flatMap(([key, each]) => [encode(key), encode(each)]),
  ]);
}

function number(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  const size = type === Type.uint16 ? 2 : 4;
  return Buffer.concat([control(type, size), bytes.subarray(4 - size)]);
}

/** Type and size of what follows; sizes up to 284, which is enough. */
function control(type: number, size: number): Buffer {
  const short = Math.min(size, 29);
  const first = type > 7 ? [short, type - 7] : [(type << 5) | short];
  return Buffer.from(size >= 29 ? [...first, size - 29] : first);
}
