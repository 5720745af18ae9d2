/** A DNS server on loopback that answers what a test has put into it (RFC 1035). */
import { createSocket, type Socket } from "node:dgram";
import type { AddressInfo } from "node:net";

export interface Service {
  priority: number;
  weight: number;
  port: number;
  target: string;
}

const TYPES = { 1: "A", 28: "AAAA", 33: "SRV" } as const;
const SERVFAIL = 2;
const NXDOMAIN = 3;

export class DnsServer {
  /** Addresses by name. */
  readonly hosts = new Map<string, { addresses: string[]; ttl: number }>();
  readonly services = new Map<string, Service[]>();
  /** Every question is answered that the server has failed. */
  broken = false;
  /** Questions, as `A app.test`. */
  asked: string[] = [];
  readonly #socket: Socket = createSocket("udp4");

  async start(): Promise<this> {
    this.#socket.on("message", (query, { port, address }) => {
      this.#socket.send(this.#answer(query), port, address);
    });
    await new Promise<void>((resolve) => this.#socket.bind(0, "127.0.0.1", resolve));
    return this;
  }

  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#socket.close();
  }

  #answer(query: Buffer): Buffer {
    const labels: string[] = [];
    let at = 12;
    while (query[at] !== 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + query[at]!));
      at += 1 + query[at]!;
    }
    const name = labels.join(".").toLowerCase();
    const type = TYPES[query.readUInt16BE(at + 1) as keyof typeof TYPES];
    this.asked.push(`${type} ${name}`);
    const records = this.#records(name, type);
    const known = this.hosts.has(name) || this.services.has(name);
    const header = Buffer.alloc(12);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (this.broken ? SERVFAIL : known ? 0 : NXDOMAIN), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, query.subarray(12, at + 5), ...records]);
  }

  #records(name: string, type: string | undefined): Buffer[] {
    if (this.broken) return [];
    const { addresses = [], ttl = 0 } = this.hosts.get(name) ?? {};
    if (type === "A")
      return addresses.filter((each) => !each.includes(":")).map((each) => record(1, ttl, ipv4(each)));
    if (type === "AAAA")
      return addresses.filter((each) => each.includes(":")).map((each) => record(28, ttl, ipv6(each)));
    if (type !== "SRV") return [];
    return (this.services.get(name) ?? []).map(({ priority, weight, port, target }) => {
      const numbers = Buffer.from(Uint16Array.of(priority, weight, port).buffer).swap16();
      return record(33, 0, Buffer.concat([numbers, encodeName(target)]));
    });
  }
}

/** For the name of the question. */
function record(type: number, ttl: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttl, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

const ipv4 = (address: string): Buffer => Buffer.from(address.split(".").map(Number));

/** Written out in full, or with one `::`. */
function ipv6(address: string): Buffer {
  const [left, right] = address.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const missing = 8 - left!.length - (right?.length ?? 0);
  const groups = [
    ...left!,
    ...new Array<string>(right === undefined ? 0 : missing).fill("0"),
    ...(right ?? []),
  ];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function encodeName(name: string): Buffer {
  const labels = name
    .split(".")
    .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}
