/** nginx as an origin: a real server with its own idea of HTTP, in a directory and on a port of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pattern } from "./build.js";
import { eventually, within } from "./wait.js";

/** The files under /files/, by name. */
export const NGINX_FILES = {
  "empty.bin": 0,
  "small.bin": 128,
  "odd.bin": 16_385,
  "large.bin": 1_048_576,
  "huge.bin": 20_000_000,
};

export class NginxOrigin {
  /** Where its files lie; removed at the stop. */
  directory = "";
  #child: ChildProcess | undefined;
  #port = 0;
  #output = "";

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** What a request for /files/NAME must give. */
  content(name: string): Buffer {
    return readFileSync(join(this.directory, "files", name));
  }

  /** What was stored by PUT /upload/NAME. */
  uploaded(name: string): Buffer {
    return readFileSync(join(this.directory, "upload", name));
  }

  async start(): Promise<this> {
    this.directory = mkdtempSync(join(tmpdir(), "longsplice-nginx-"));
    for (const folder of ["files", "upload", "temp"]) mkdirSync(join(this.directory, folder));
    for (const [name, size] of Object.entries(NGINX_FILES)) {
      writeFileSync(join(this.directory, "files", name), pattern(size, size + 1));
    }
    this.#port = await freePort();
    writeFileSync(join(this.directory, "nginx.conf"), configuration(this.directory, this.address));
    this.#child = spawn("nginx", ["-p", this.directory, "-c", "nginx.conf", "-e", "stderr"], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child.stderr!.on("data", (text: Buffer) => (this.#output += text.toString()));
    this.#child.once("error", (error) => (this.#output += String(error)));
    await eventually(`nginx on ${this.address}`, () => this.#accepts());
    return this;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null) {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await within(exited, 15_000, "the exit of nginx");
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #accepts(): Promise<boolean> {
    if (!this.#child?.pid || this.#child.exitCode !== null)
      throw new Error(`nginx did not start: ${this.#output}`);
    return new Promise((resolve) => {
      const socket = net.connect(this.#port, "127.0.0.1");
      socket.once("error", () => resolve(false));
      socket.once("connect", () => {
        socket.destroy();
        resolve(true);
      });
    });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/**
 * /files/ with a length, /chunked/ without (a filter that replaces nothing makes nginx forget the length), /trailer/
 * with a trailer, /upload/ stores bodies, /once/ closes after each response, /status/N answers N without a body.
 */
function configuration(directory: string, address: string): string {
  return `
    daemon off;
    master_process off;
    pid ${directory}/nginx.pid;
    error_log stderr warn;
    events { worker_connections 512; }
    http {
      access_log off;
      client_body_temp_path ${directory}/temp;
      proxy_temp_path ${directory}/temp;
      fastcgi_temp_path ${directory}/temp;
      uwsgi_temp_path ${directory}/temp;
      scgi_temp_path ${directory}/temp;
      default_type application/octet-stream;
      keepalive_requests 1000000;
      client_max_body_size 0;
      sendfile on;
      server {
        listen ${address} backlog=1024;
        root ${directory};
        location /files/ { etag on; }
        location /chunked/ {
          alias ${directory}/files/;
          sub_filter_types *;
          sub_filter "this text does not occur" "";
        }
        location /trailer/ {
          alias ${directory}/files/;
          sub_filter_types *;
          sub_filter "this text does not occur" "";
          add_trailer X-Checked "yes";
        }
        location /once/ { alias ${directory}/files/; keepalive_timeout 0; }
        location /upload/ { dav_methods PUT; }
        location /status/204 { return 204; }
        location /status/304 { return 304; }
        location /status/418 { return 418 "teapot"; }
        location /echo { return 200 "$request_method $request_uri $http_host"; }
      }
    }
  `;
}
