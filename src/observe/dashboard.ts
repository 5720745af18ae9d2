import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";

/** The dashboard as one page without further requests, and the policy that lets the browser run just that page. */
export interface Dashboard {
  readonly html: string;
  /** Value of the Content-Security-Policy header. */
  readonly contentSecurityPolicy: string;
}

/**
 * Reads the page's three source files and inlines style and script. They are real files, so that the linter and an
 * editor see them; the compiler does not copy them, so a compiled longsplice reads them from the package's `src`.
 * @throws Error when the files are missing from the installation
 */
export function loadDashboard(): Dashboard {
  const beside = new URL("./dashboard/", import.meta.url);
  const folder = existsSync(beside) ? beside : new URL("../../../src/observe/dashboard/", import.meta.url);
  const read = (name: string): string => readFileSync(new URL(name, folder), "utf8");
  const style = read("page.css");
  const script = read("page.js");
  // Functions as replacements: in a string, `$` would have a meaning.
  const html = read("page.html")
    .replace('<link rel="stylesheet" href="page.css">', () => `<style>${style}</style>`)
    .replace(
      '<script type="module" src="page.js"></script>',
      () => `<script type="module">${script}</script>`,
    );
  return {
    html,
    contentSecurityPolicy: [
      "default-src 'none'",
      `style-src '${digest(style)}'`,
      `script-src '${digest(script)}'`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; "),
  };
}

function digest(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}
