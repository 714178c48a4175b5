// Visits every page of the console that contains the demo data. The addresses come from the
// navigation, from the links of the first rows, and, for one conflict of every kind, from the API.

import { inspect, LOOKS, LOOKS_WITHOUT_SCRIPTS } from "./looks.mjs";
import { Visitor } from "./visitor.mjs";

/** The pages that a run must reach, by the path in which `*` is an id. */
export const PAGES = [
  ...["today", "conflicts", "conflicts/*", "batches", "batches/*", "batches/*/*/*", "devices"],
  ...["audit", "status", "catalog", "help", "sign-in", "signed-out"],
];
const ADMIN = { roles: ["admin", "operator"] };

/** Returns the form of a path: ids are replaced, and only the names of a query are kept. */
function form(path) {
  const url = new URL(path, "http://console/");
  const segments = url.pathname.slice(1).split("/");
  const [first, ...rest] = segments;
  const names = [...new Set(url.searchParams.keys())].sort().join("&");
  const plain = [first, ...rest.map(() => "*")].join("/");
  return { plain, whole: names ? `${plain}?${names}` : plain };
}

/** Returns the addresses of one conflict of every kind, by the name of the kind. */
async function conflicts(runner, tenant) {
  const api = await runner.api(tenant, "root", ADMIN);
  const kinds = new Map();
  let cursor = "";
  do {
    const list = await api.get(`conflicts?status=all&limit=200${cursor}`);
    for (const { id, status, code, action, edit_count: edits } of list.conflicts) {
      const kind = ["conflict", status, code, action, ...(edits > 1 ? ["joined"] : [])].join(" ");
      kinds.set(kind, `conflicts/${id}`);
    }
    cursor = list.next_cursor ? `&cursor=${encodeURIComponent(list.next_cursor)}` : "";
  } while (cursor);
  return kinds;
}

/** Returns the pages to visit by their names, and the downloads, found in a window of an admin. */
async function discover(visitor, runner, tenant) {
  await visitor.goto("");
  const navigation = await visitor.navigation();
  const pages = new Map(navigation.map((address) => [form(address).whole, address]));
  const files = new Set();

  const queue = [...navigation];
  for (const address of queue) {
    // The first rows of each list, and links outside of lists, such as the next page.
    const rows = "main :is(tbody tr, ol > li, ul > li):nth-child(-n + 2) a";
    await visitor.goto(address);
    const found = [
      ...(await visitor.links(rows)),
      ...(await visitor.links("main a:not(:is(tbody, ol, ul) a)")),
    ];
    for (const link of found.filter((link) => ![...pages.values()].includes(link))) {
      const { plain, whole } = form(link);
      // Of pages with an id, two are visited; of lists with the same filter, one.
      const names = plain.includes("*") ? [whole, `${whole} (2)`] : [whole];
      const name = names.find((free) => !pages.has(free));
      if (plain.endsWith(".csv")) files.add(link);
      else if (name) {
        pages.set(name, link);
        // What the pages of the navigation link to is visited; what that links to is not.
        if (navigation.includes(address) && !navigation.includes(plain)) queue.push(link);
      }
    }
  }

  for (const [kind, address] of await conflicts(runner, tenant)) pages.set(kind, address);
  return { pages, files: [...files] };
}

/** Visits one page with scripts, and once more without. Returns the findings. */
async function visit({ browser, runner, axe, folder }, { name, address, state, expected = 200 }) {
  const findings = [];
  for (const scripts of [true, false]) {
    const visitor = await Visitor.open(browser, runner, { scripts, state });
    if (expected !== 200) visitor.expected.add(expected);
    const place = scripts ? name : `${name} without scripts`;
    try {
      const status = await visitor.goto(address);
      if (status !== expected) findings.push(`${place}: status ${status}`);
      const titles = await visitor.page.getByRole("heading", { level: 1 }).count();
      if (titles !== 1) findings.push(`${place}: ${titles} headings of the first level`);

      if (!scripts) await permitScripts(visitor);
      const look = scripts ? { folder } : { looks: LOOKS_WITHOUT_SCRIPTS };
      findings.push(...(await inspect(visitor.page, place, { axe, ...look })));
    } catch (error) {
      findings.push(`${place}: ${error.message}`);
    }
    findings.push(...[...visitor.findings].map((text) => `${place}: ${text}`));
    await visitor.close();
  }
  return findings;
}

/** Permits the scripts of axe-core on a page that was loaded without scripts. */
async function permitScripts(visitor) {
  const session = await visitor.context.newCDPSession(visitor.page);
  for (const value of [true, false]) {
    await session.send("Emulation.setScriptExecutionDisabled", { value });
  }
}

/** Checks the status and the headers of a download. */
async function download(visitor, runner, address) {
  const response = await visitor.context.request.get(`${runner.console}/${address}`);
  const headers = response.headers();
  const findings = [];
  if (response.status() !== 200) findings.push(`status ${response.status()}`);
  if (!/^text\/csv\b/.test(headers["content-type"])) findings.push(headers["content-type"]);
  if (!/^attachment/.test(headers["content-disposition"])) findings.push("is not an attachment");
  return findings.map((text) => `${address}: ${text}`);
}

/** Visits all pages in several windows at once. Returns the findings and what was visited. */
export async function visitPages(options, tenant) {
  const { browser, runner, windows } = options;
  const visitor = await Visitor.open(browser, runner);
  await visitor.signIn(tenant, "root", ADMIN);
  const { pages, files } = await discover(visitor, runner, tenant);
  const findings = [...visitor.findings];
  for (const file of files) findings.push(...(await download(visitor, runner, file)));
  const state = await visitor.context.storageState();
  await visitor.close();

  const visits = [
    ...[...pages].map(([name, address]) => ({ name, address, state })),
    { name: "sign-in", address: "sign-in" },
    { name: "signed-out", address: "signed-out" },
    { name: "problem 404", address: "nothing", state, expected: 404 },
    { name: "problem 404 of a conflict", address: "conflicts/nothing", state, expected: 404 },
    { name: "problem 400", address: "audit?cursor=nothing", state, expected: 400 },
    { name: "filter 400", address: "conflicts?detected_from=never", state, expected: 400 },
    { name: "empty list", address: "conflicts?user=nobody", state },
  ];
  const next = visits.values();
  const work = async () => {
    for (const each of next) findings.push(...(await visit(options, each)));
  };
  await Promise.all(Array.from({ length: windows }, work));

  const reached = new Set(visits.map(({ address }) => form(address).plain));
  const missing = PAGES.filter((name) => !reached.has(name));
  findings.push(...missing.map((name) => `${name}: no page links to it, so it was not checked`));
  const looks = visits.length * (LOOKS.length + LOOKS_WITHOUT_SCRIPTS.length);
  return { findings, pages: visits.length, looks, files: files.length };
}
