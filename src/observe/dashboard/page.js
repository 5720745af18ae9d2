// Polls the status and shows it. Rows are kept and only their texts change, so that a button under the pointer and a
// selection survive the update; with some hundred backends that is also much cheaper than building the tables anew.

const POLL_MS = 1000;
const ANSWER_LIMIT_MS = 4000;
const FILTER_FROM = 12;
const CHART = { width: 1000, height: 120, points: 120 };
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
const TOKEN_KEY = "longsplice-admin-token";

const byId = (id) => document.getElementById(id);

/** Creates an element; a class name may be null. */
function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** Sets a text only when it differs: an unchanged node costs no layout and keeps the user's selection. */
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// ---- Numbers ------------------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

const count = (value) => (value < 100_000 ? whole.format(value) : short.format(value));
const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : count(Math.round(value)));

const SHARES = ["cpu", "memory", "io", "utilization"];
/** What a backend reports of its load: `cpu 31%`, `queue 4`. */
const loadTexts = (load) =>
  Object.entries(load).map(
    ([name, value]) => `${name} ${SHARES.includes(name) ? `${Math.round(100 * value)}%` : count(value)}`,
  );

function milliseconds(value) {
  if (value === null) return "–";
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  if (value < 1000) return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  return `${(value / 1000).toFixed(1)} s`;
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const scaled = value / 1024 ** step;
  return `${step > 0 && scaled < 100 ? scaled.toFixed(1) : Math.round(scaled)} ${units[step]}`;
}

function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds % 60), "s"],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  const shown = first === -1 ? parts.slice(-1) : parts.slice(first, first + 2);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
}

// ---- Header, tiles, chart -----------------------------------------------------------------------------------------

function showState(state) {
  byId("state").className = `chip ${state}`;
  setText(byId("state"), state);
}

function showHeader(status) {
  showState(status.state);
  const { config, workers } = status;
  const facts = [
    `v${status.version}`,
    `up ${duration(status.uptimeSeconds)}`,
    `${workers.alive === workers.configured ? "" : `${workers.alive} of `}${workers.configured} workers`,
    config.file === null ? "no configuration file" : `${config.file} (load ${config.generation})`,
    `Linux ${status.kernel}`,
  ];
  setText(byId("facts"), facts.join("  ·  "));
  document.title = `${rate(status.rates.requests)}/s – longsplice`;
}

function showTiles({ rates, totals }) {
  const ratio = rates.requests === 0 ? 0 : rates.errors / rates.requests;
  setText(byId("requests"), rate(rates.requests));
  setText(byId("errors"), ratio === 0 ? "0 %" : `${(ratio * 100).toFixed(ratio < 0.1 ? 2 : 1)} %`);
  byId("errors").className = ratio >= 0.01 ? "alarm" : "";
  setText(byId("error-rate"), `${rate(rates.errors)} /s`);
  setText(byId("p50"), milliseconds(rates.latencyMs.p50));
  setText(byId("p99"), milliseconds(rates.latencyMs.p99));
  setText(byId("connections"), count(totals.activeConnections));
  setText(byId("downstream"), bytes(rates.bytesDownstream));
}

/** The path of a line whose newest point is at the right edge; values beyond the oldest point have no line yet. */
function linePath(values, peak) {
  const shown = values.slice(-CHART.points);
  const x = (i) => CHART.width - ((shown.length - 1 - i) * CHART.width) / (CHART.points - 1);
  const y = (value) => CHART.height - (value / peak) * (CHART.height - 16);
  return shown.map((value, i) => `${i === 0 ? "M" : "L"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`).join("");
}

function showChart({ history }) {
  const peak = Math.max(1, ...history.requests);
  const line = linePath(history.requests, peak);
  const left = CHART.width - ((history.requests.length - 1) * CHART.width) / (CHART.points - 1);
  byId("line").setAttribute("d", line);
  byId("area").setAttribute("d", line && `${line}V${CHART.height}H${left.toFixed(1)}Z`);
  byId("error-line").setAttribute("d", linePath(history.errors, peak));
  setText(byId("peak"), `peak ${rate(Math.max(0, ...history.requests))}`);
  setText(byId("span"), `last ${duration((history.requests.length * history.intervalMs) / 1000)}`);
}

const classParts = new Map(
  CLASSES.map((name) => {
    const label = element("span");
    const item = element("li", null, element("i", `swatch c${name}`), label);
    const segment = element("span", `c${name}`);
    byId("classes").append(item);
    byId("class-bar").append(segment);
    return [name, { item, label, segment }];
  }),
);

function showClasses({ rates, totals }) {
  for (const [name, { item, label, segment }] of classParts) {
    const total = totals.byClass[name] ?? 0;
    const now = rates.byClass[name] ?? 0;
    item.hidden = total === 0;
    setText(label, `${name === "none" ? "no response" : name}  ${rate(now)}/s  (${count(total)} in total)`);
    segment.hidden = now === 0;
    segment.style.flexGrow = String(now);
  }
}

// ---- Tables -------------------------------------------------------------------------------------------------------

/**
 * Shows `items` as the rows of a table body: makes rows for new keys, removes those that are gone.
 * `create(item)` returns `{ row, update(item) }`.
 */
function syncRows(body, items, keyOf, create) {
  body.rowsByKey ??= new Map();
  const gone = new Set(body.rowsByKey.keys());
  items.forEach((item, i) => {
    const key = keyOf(item, i);
    gone.delete(key);
    let entry = body.rowsByKey.get(key);
    if (!entry) {
      entry = create(item);
      body.rowsByKey.set(key, entry);
    }
    if (body.children[i] !== entry.row) body.insertBefore(entry.row, body.children[i] ?? null);
    entry.update(item);
  });
  for (const key of gone) {
    body.rowsByKey.get(key).row.remove();
    body.rowsByKey.delete(key);
  }
}

/** A row of plain cells; `columns` are `[class name, text of item]`. */
function textRow(columns) {
  const cells = columns.map(([className]) => element("td", className));
  return {
    row: element("tr", null, ...cells),
    update(item) {
      for (const [i, [, text]] of columns.entries()) setText(cells[i], text(item));
    },
  };
}

function backendRow(pool) {
  const address = element("code", "address");
  const health = element("span", "chip");
  const fill = element("i");
  const active = element("span");
  const action = element("button");
  const numbers = textRow([
    ["num", (b) => whole.format(b.weight) + (b.weightPercent < 100 ? ` × ${b.weightPercent} %` : "")],
    ["num", (b) => rate(b.requestsPerSecond)],
    ["num", (b) => count(b.requests)],
    ["num", (b) => count(b.errors)],
    ["num", (b) => milliseconds(b.latencyMs)],
    ["num", (b) => loadTexts(b.load)[0] ?? "–"],
  ]);
  const activeCell = element("td", null, element("div", "active", active, element("div", "bar", fill)));
  const row = element(
    "tr",
    null,
    element("td", null, address),
    element("td", null, health),
    activeCell,
    ...numbers.row.children,
    element("td", "num", action),
  );
  let current;
  action.addEventListener("click", () => ask(pool, current));
  return {
    row,
    update(backend) {
      current = backend;
      setText(address, backend.address);
      address.title = backend.address;
      health.className = `chip ${backend.health}`;
      setText(health, backend.health);
      health.title = backend.reason;
      setText(active, whole.format(backend.active));
      fill.style.width = `${(100 * backend.active) / Math.max(1, busiest)}%`;
      numbers.update(backend);
      row.title = loadTexts(backend.load).join(", ");
      setText(action, backend.health === "draining" ? "Enable" : "Drain");
      const wanted = byId("filter").value.trim();
      row.hidden = !backend.address.includes(wanted) && !backend.health.startsWith(wanted);
    },
  };
}

/** The largest number of exchanges in flight on any backend: the bars compare backends with each other. */
let busiest = 1;

function poolCard({ name }) {
  const title = element("h2", null, name);
  const policy = element("code");
  const summary = element("p");
  const heads = [
    ["Backend"],
    ["Health"],
    ["In flight"],
    ["Weight", "num"],
    ["Per second", "num"],
    ["Requests", "num"],
    ["Errors", "num"],
    ["Latency", "num"],
    ["Load", "num"],
    ["", "num"],
  ].map(([text, className]) => element("th", className, text));
  const body = element("tbody");
  const table = element("table", null, element("thead", null, element("tr", null, ...heads)), body);
  const row = element(
    "section",
    "card pool",
    element("div", "title", title, policy, summary),
    element("div", "scroll", table),
  );
  return {
    row,
    update(pool) {
      setText(policy, pool.policy.join(" → "));
      const usable = pool.backends.filter((b) => b.health === "healthy" || b.health === "unknown").length;
      setText(summary, `${usable} of ${pool.backends.length} in use`);
      syncRows(
        body,
        pool.backends,
        (b, i) => `${i} ${b.address}`,
        () => backendRow(pool.name),
      );
    },
  };
}

function showPools({ pools }) {
  const backends = pools.flatMap((pool) => pool.backends);
  busiest = Math.max(1, ...backends.map((b) => b.active));
  byId("filter").hidden = backends.length < FILTER_FROM;
  syncRows(byId("pools"), pools, (pool) => pool.name, poolCard);
}

function showRoutes({ routes }) {
  const row = () =>
    textRow([
      [null, (r) => r.label],
      [null, (r) => r.pool],
      [null, (r) => r.forward],
      [null, (r) => r.engine],
      ["num", (r) => count(r.requests)],
      ["num", (r) => rate(r.requestsPerSecond)],
    ]);
  syncRows(byId("routes"), routes, (_, i) => i, row);
}

function showEngines({ routes, totals }) {
  const moved = totals.bytes.filter((b) => b.count > 0);
  // An engine that nobody asked for has nothing to show.
  const names = new Set(
    [...routes, ...moved].map((r) => r.engine).concat(totals.fallbacks.map((f) => f.from)),
  );
  const engines = [...names].map((engine) => {
    const sum = (direction) =>
      moved.find((b) => b.engine === engine && b.direction === direction)?.count ?? 0;
    const fallbacks = totals.fallbacks.filter((f) => f.from === engine);
    return { engine, downstream: sum("downstream"), upstream: sum("upstream"), fallbacks };
  });
  const row = () =>
    textRow([
      [null, (e) => e.engine],
      ["num", (e) => bytes(e.downstream)],
      ["num", (e) => bytes(e.upstream)],
      [null, (e) => e.fallbacks.map((f) => `${f.to} (${f.reason}): ${count(f.count)}`).join(", ") || "–"],
    ]);
  syncRows(byId("engines"), engines, (e) => e.engine, row);
}

// ---- Changing a backend -------------------------------------------------------------------------------------------

let pending;

function ask(pool, backend) {
  const action = backend.health === "draining" ? "enable" : "drain";
  pending = { pool, address: backend.address, action };
  setText(byId("question"), `${action === "drain" ? "Drain" : "Enable"} ${backend.address} in pool ${pool}?`);
  setText(
    byId("consequence"),
    action === "drain"
      ? "It gets no new exchanges; those in flight finish."
      : "It gets new exchanges again as soon as it is healthy.",
  );
  setText(byId("go"), action === "drain" ? "Drain" : "Enable");
  setText(byId("problem"), "");
  byId("token-field").hidden = true;
  byId("confirm").showModal();
}

async function change() {
  const { pool, address, action } = pending;
  if (byId("token").value !== "") sessionStorage.setItem(TOKEN_KEY, byId("token").value);
  const token = sessionStorage.getItem(TOKEN_KEY);
  const path = ["api/v1/backends", encodeURIComponent(pool), encodeURIComponent(address), action].join("/");
  byId("go").disabled = true;
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
    });
    if (response.ok) {
      byId("confirm").close();
      return;
    }
    const { error, remedy } = await response.json();
    byId("token-field").hidden = response.status !== 401;
    setText(byId("problem"), remedy ? `${error} – ${remedy}` : error);
  } catch (error) {
    setText(byId("problem"), `No answer from longsplice (${error.message})`);
  } finally {
    byId("go").disabled = false;
  }
}

byId("go").addEventListener("click", change);
byId("token").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  void change();
});

// ---- Polling ------------------------------------------------------------------------------------------------------

let latest;
let lastSeen;

function show(status) {
  showHeader(status);
  showTiles(status);
  showChart(status);
  showClasses(status);
  showPools(status);
  showRoutes(status);
  showEngines(status);
}

function showWarning(text) {
  byId("offline").hidden = text === null;
  setText(byId("offline"), text ?? "");
  document.body.classList.toggle("stale", text !== null);
}

async function poll() {
  try {
    const response = await fetch("api/v1/status", { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    latest = await response.json();
    lastSeen = Date.now();
    const late = latest.countersAgeMs > 3000;
    showWarning(late ? `A worker has not reported for ${duration(latest.countersAgeMs / 1000)}` : null);
    show(latest);
  } catch {
    showState("disconnected");
    const since =
      lastSeen === undefined ? "" : `; the numbers are ${duration((Date.now() - lastSeen) / 1000)} old`;
    showWarning(`longsplice does not answer${since}`);
    document.title = "disconnected – longsplice";
  }
  setTimeout(poll, POLL_MS);
}

byId("filter").addEventListener("input", () => latest && showPools(latest));
void poll();
