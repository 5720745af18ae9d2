/**
 * Clients that never finish a head, in a process of their own: started by `TrickleProcess` with a port and how many.
 * Each sends one more byte of a header line now and then, and comes back when it is thrown out.
 */
import net from "node:net";

const [port, count] = process.argv.slice(2).map(Number) as [number, number];
/** Four source addresses: one has too few ports where the machine's range is small. */
const SOURCES = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
const BYTE_EVERY_MS = 5_000;
const TICK_MS = 50;
const START = "GET /slow HTTP/1.1\r\nhost: test.example\r\nx-slow: ";

const sockets: (net.Socket | undefined)[] = Array.from({ length: count });
let opened = 0;

function open(index: number): void {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: SOURCES[index % SOURCES.length]! });
  sockets[index] = socket;
  socket.once("connect", () => {
    socket.write(START);
    opened++;
    if (opened === count) process.send!("all open");
  });
  socket.resume();
  socket.on("error", () => undefined);
  socket.once("close", () => setTimeout(open, 100, index));
}

/** Every socket gets its byte in its own slice of the time, so that the load is even. */
function trickle(): void {
  const slices = BYTE_EVERY_MS / TICK_MS;
  let slice = 0;
  setInterval(() => {
    for (let index = slice; index < count; index += slices) {
      if (sockets[index]?.writable) sockets[index]!.write("a");
    }
    slice = (slice + 1) % slices;
  }, TICK_MS);
}

// Opened in groups, so that the accept queue does not run over.
for (let index = 0; index < count; index++) setTimeout(open, Math.floor(index / 50) * 5, index);
trickle();
// Never outlive the test that started it.
process.on("disconnect", () => process.exit(0));
