/** One request on a connection that stays. */
import type { Client } from "undici";
import type { Answer } from "./tally.js";

/** @throws Error for whatever is not a whole answer of that many bytes */
export function fetchFile(
  client: Client,
  path: string,
  bytes: number,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    let received = 0;
    let status = 0;
    let fields: Readonly<Record<string, string | string[] | undefined>> = {};
    client.dispatch(
      { path, method: "GET", headers },
      {
        onRequestStart() {}, // by it undici knows which kind of handler this is
        onResponseStart(_controller, statusCode, responseHeaders) {
          status = statusCode;
          fields = responseHeaders;
        },
        onResponseData(_controller, chunk) {
          received += chunk.length;
        },
        onResponseEnd() {
          const millis = performance.now() - started;
          if (status !== 200) reject(new Error(`status ${status}`));
          else if (received !== bytes) reject(new Error(`${received} bytes instead of ${bytes}`));
          else
            resolve({ millis, bytes, origin: Number(fields["x-origin"]), hit: fields["x-cache"] === "hit" });
        },
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}
