/** Where a socket listens or connects to. */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/** Where a backend is; `original-destination`: where each client wanted to go before it was redirected to us. */
export type BackendAddress = Address | { readonly kind: "original-destination" };

/** `127.0.0.1:80`, `[::1]:80`, `unix:/run/app.sock`: the form of logs, metrics and the admin API. */
export function formatAddress(address: BackendAddress): string {
  if (address.kind === "original-destination") return address.kind;
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}
