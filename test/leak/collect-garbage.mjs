/** Loaded into a process under test, before anything else: SIGUSR2 has V8 give back what is not in use, in every thread. */
import { Session } from "node:inspector";
import { BroadcastChannel, isMainThread } from "node:worker_threads";

function collect() {
  const session = new Session();
  session.connect();
  session.post("HeapProfiler.collectGarbage");
  session.disconnect();
}

const channel = new BroadcastChannel("collect garbage");
channel.unref();
channel.onmessage = collect;

if (isMainThread) {
  process.on("SIGUSR2", () => {
    channel.postMessage(undefined);
    collect();
  });
}
