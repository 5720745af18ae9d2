/** What is known about an error code besides the occasion on which it was thrown. */
export interface ErrorEntry {
  /** What went wrong, without the particulars: the beginning of the message. */
  readonly summary: string;
  /** Why it happens. */
  readonly cause: string;
  /** What the user can do about it. */
  readonly remedy: string;
  /** Exit code when the error ends the process: 1 bad configuration or arguments, 2 could not start, 70 a bug of ours. */
  readonly exit: 1 | 2 | 70;
}

/**
 * Every error code there is; docs/errors.md has a row for each, and a test compares the two and the code that throws.
 * A code is a promise: it may be searched for, and scripts may act on it. Change texts freely, codes never.
 */
export const errorCatalog = {
  LS_CLI_ARGUMENTS: {
    summary: "wrong arguments",
    cause: "An unknown command or option, a missing value, or options that do not go together.",
    remedy: "See `longsplice --help`, or `longsplice COMMAND --help`.",
    exit: 1,
  },
  LS_CONFIG_INVALID: {
    summary: "the configuration is not valid",
    cause:
      "The configuration has at least one problem; each is printed with its place and a code of its own.",
    remedy: "Correct the places named; `longsplice check -c FILE` checks a file without starting anything.",
    exit: 1,
  },
  LS_CONFIG_READ: {
    summary: "the configuration file cannot be read",
    cause: "The file does not exist, may not be read by this user, or is not UTF-8 text.",
    remedy: "Check the path given with -c, its permissions and its encoding.",
    exit: 1,
  },
  LS_CONFIG_SYNTAX: {
    summary: "not valid YAML",
    cause:
      "The file is neither YAML nor JSON: indentation, brackets or quotes do not match, or a tab indents a line.",
    remedy:
      "Look at the place named and just before it. Indent with spaces; quote text that begins with *, &, ! or {.",
    exit: 1,
  },
  LS_CONFIG_UNKNOWN_KEY: {
    summary: "unknown key",
    cause: "A key is misspelt, or stands at the wrong level.",
    remedy: "Compare with docs/configuration.md, which lists every key and where it belongs.",
    exit: 1,
  },
  LS_CONFIG_MISSING_KEY: {
    summary: "a key is missing",
    cause: "A key without a default was left out.",
    remedy: "Add the key that the message names.",
    exit: 1,
  },
  LS_CONFIG_DUPLICATE_KEY: {
    summary: "a key appears twice",
    cause:
      "One mapping has the same key more than once, or a header name once in each spelling of its letters.",
    remedy: "Keep one of the two.",
    exit: 1,
  },
  LS_CONFIG_TYPE: {
    summary: "a value has the wrong type",
    cause: "For example a number where text is expected, or a single value where a mapping is.",
    remedy: "Write the type that the message names; text that looks like a number needs quotes.",
    exit: 1,
  },
  LS_CONFIG_VALUE: {
    summary: "a value is not allowed",
    cause: "The type is right, but the value is out of range, malformed, or not one of the known words.",
    remedy: "Write a value as the message describes it.",
    exit: 1,
  },
  LS_CONFIG_ADDRESS: {
    summary: "not an address",
    cause: "The text is not host:port, [v6]:port, :port or unix:/path.",
    remedy: "Write for example 127.0.0.1:8080, [::1]:8080, :8080 or unix:/run/app.sock.",
    exit: 1,
  },
  LS_CONFIG_DUPLICATE: {
    summary: "something is listed twice",
    cause:
      "Two listeners, or two backends of one pool, have the same address; or the admin server that of a listener.",
    remedy: "Remove one of them; a backend that should get more traffic has a larger weight.",
    exit: 1,
  },
  LS_CONFIG_CONFLICT: {
    summary: "two settings exclude each other",
    cause:
      "For example a match with both path and pathRegex, or response headers on a route that forwards by connection.",
    remedy: "Keep one of the two; to have either, write two routes.",
    exit: 1,
  },
  LS_CONFIG_HEADER: {
    summary: "not a header that can be set or removed",
    cause:
      "The name is not a token, the value has control characters, or the header belongs to the proxy itself.",
    remedy: "Message framing and connection headers are kept right by longsplice; leave them out.",
    exit: 1,
  },
  LS_CONFIG_TEMPLATE: {
    summary: "unknown variable",
    cause: "A header value has a {variable} that does not exist.",
    remedy: "Use {client.address}, {client.port}, {request.id}, {host} or {backend.address}.",
    exit: 1,
  },
  LS_CONFIG_REGEX: {
    summary: "not a regular expression",
    cause: "The expression is not valid in the RE2 syntax, which has no look-around and no back-references.",
    remedy: "Correct the expression, or use several routes with `path`.",
    exit: 1,
  },
  LS_CONFIG_UNKNOWN_POOL: {
    summary: "unknown pool",
    cause: "A route names a pool that is not under `pools`.",
    remedy: "Correct the name, or define the pool.",
    exit: 1,
  },
  LS_POLICY_UNKNOWN: {
    summary: "unknown policy",
    cause: "A pool names a policy that is neither built in nor found in the files under `policies`.",
    remedy: "Correct the name, or add the plugin's file to `policies`.",
    exit: 1,
  },
  LS_POLICY_OPTIONS: {
    summary: "wrong options for a policy",
    cause: "The policy's own schema refuses its options.",
    remedy: "Compare with the policy's documentation.",
    exit: 1,
  },
  LS_POLICY_CREATE: {
    summary: "a policy could not be created",
    cause:
      "The create() function of a policy threw, a backend's labels do not suit it for example, or it returned a promise or something else without select(); its sharedBytes() gave no number of bytes; or the policies of a pool look at more than 64 headers together.",
    remedy:
      "Do what the message says, which is the policy's own; a plugin that says nothing of use has to be corrected.",
    exit: 1,
  },
  LS_GEO_DATABASE: {
    summary: "a location database cannot be used",
    cause:
      "The file that a policy names does not exist, may not be read, or is not a database in the format MMDB.",
    remedy: "Name an .mmdb file of countries or cities; the README of the policy says where there are some.",
    exit: 1,
  },
  LS_POLICY_NOT_FOUND: {
    summary: "no such policy file",
    cause: "A path or pattern under `policies` matches no file.",
    remedy: "Correct it: it is relative to the configuration file, and `*` works in its last part only.",
    exit: 1,
  },
  LS_POLICY_LOAD: {
    summary: "a policy file could not be loaded",
    cause: "The plugin has a syntax error, or something that it imports is missing or fails.",
    remedy: "Correct the plugin; `npx tsx FILE` shows the same error with its stack.",
    exit: 1,
  },
  LS_POLICY_SHAPE: {
    summary: "not a policy module",
    cause: "The default export of a plugin lacks something that a policy module must have.",
    remedy: "Compare with docs/writing-a-policy.md; `definePolicy` lets the compiler check it.",
    exit: 1,
  },
  LS_POLICY_NAME: {
    summary: "a policy name is taken",
    cause: "Two plugins, or a plugin and a built-in policy, have the same name.",
    remedy: "Rename the plugin's policy.",
    exit: 1,
  },
  LS_POOL_CAPACITY: {
    summary: "too many backends",
    cause: "All pools together have more backends than the load table has rows.",
    remedy: "Remove backends, or spread the pools over several longsplice processes.",
    exit: 1,
  },
  LS_LISTEN_ADDRESS_IN_USE: {
    summary: "a listener's address is in use",
    cause: "Another process, perhaps another longsplice, listens there.",
    remedy: "Stop it, or choose another address; `ss -lntxp` shows who listens where.",
    exit: 2,
  },
  LS_LISTEN: {
    summary: "a listener could not be opened",
    cause:
      "The address is not one of this machine, this user may not bind it (ports below 1024 are privileged), or the path of a Unix socket has no folder or is a file that is no socket.",
    remedy: "Choose another address, port or path, or give the process CAP_NET_BIND_SERVICE.",
    exit: 2,
  },
  LS_ADMIN_ADDRESS_IN_USE: {
    summary: "the admin server's address is in use",
    cause: "Another process, perhaps another longsplice, listens there.",
    remedy: "Stop it, or choose another port under `admin`.",
    exit: 2,
  },
  LS_ADMIN_LISTEN: {
    summary: "the admin server could not listen",
    cause: "The address is not one of this machine, or this user may not bind it.",
    remedy: "Choose another address or port under `admin`.",
    exit: 2,
  },
  LS_ADDON_MISSING: {
    summary: "the native addon is missing or cannot be loaded",
    cause: "It was not built, or was built for another Node.js, C library or processor.",
    remedy: "Run `npm run build` with the Node.js that runs longsplice; `longsplice doctor` says more.",
    exit: 2,
  },
  LS_ENGINE_UNAVAILABLE: {
    summary: "the engine cannot be used here",
    cause:
      "The kernel is too old, refuses the programs or their place, or fails a self-test, the process lacks a capability or descriptors, or the build lacks the engine.",
    remedy:
      "Do what the message says, or use engine: copy; `longsplice doctor` tells what each engine needs.",
    exit: 2,
  },
  LS_ADDRESS_UNRESOLVED: {
    summary: "a host name could not be resolved",
    cause: "A listener or backend is given by name, and the system's resolver does not know the name now.",
    remedy: "Check the name with `getent hosts NAME`, or write the IP address.",
    exit: 2,
  },
  LS_DISCOVERY_LOOKUP: {
    summary: "a name of a pool's backends could not be looked up",
    cause: "DNS does not know the name (any more), gives it no address, or does not answer.",
    remedy:
      "Check it with `dig NAME` or `dig SRV NAME`. The backends that were known last go on serving, and it is asked again.",
    exit: 2,
  },
  LS_DISCOVERY_FILE: {
    summary: "a file of backends cannot be used",
    cause: "The file that a pool watches is not there, cannot be read, or is no list of backends.",
    remedy:
      "Correct what the message names; replace the file as a whole (write another one, then rename). What it had last stays in effect.",
    exit: 1,
  },
  LS_RELOAD_FAILED: {
    summary: "a worker could not take over the new configuration",
    cause: "Something that only workers do failed there, for example a policy's create().",
    remedy: "Correct what the message names and send SIGHUP again; the old configuration is in effect.",
    exit: 1,
  },
  LS_INTERNAL: {
    summary: "internal error",
    cause: "Something happened that the program did not expect: a bug in longsplice.",
    remedy: "Report it with the message, the stack and the output of `longsplice doctor`.",
    exit: 70,
  },
} as const satisfies Record<string, ErrorEntry>;

/** One of the codes of the catalog. */
export type ErrorCode = keyof typeof errorCatalog;
