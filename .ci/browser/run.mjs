// Opens the console of a local runner in Chromium: visits every page, and runs scenarios as users
// do. Prints a finding per line, and fails if there is one, or if a page or a scenario did not run.
//
//   node run.mjs --runner BINARY --node-modules FOLDER [--chromium BINARY] [--screenshots FOLDER]
//                [--only TEXT]
//
// `--only` runs the scenarios whose names contain the text, or, for `pages`, only visits the pages.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { PAGES, visitPages } from "./pages.mjs";
import { Runner } from "./runner.mjs";
import { SCENARIOS, runScenario } from "./scenarios.mjs";

/** The windows that are open at once. */
const WINDOWS = 2;
const TENANT = "acme";
/** The fewest scenarios and pages of a run: a list that was shortened by mistake is a failure. */
const [SCENARIOS_MIN, PAGES_MIN] = [16, 13];

const { values } = parseArgs({
  options: {
    runner: { type: "string" },
    "node-modules": { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    screenshots: { type: "string" },
    only: { type: "string", default: "" },
  },
});
const modules = resolve(values["node-modules"]);
const { chromium } = createRequire(join(modules, "index.js"))("playwright-core");

async function runScenarios(options) {
  const chosen = SCENARIOS.filter(({ name }) => name.includes(values.only));
  const next = chosen.values();
  const findings = [];
  let completed = 0;
  const work = async () => {
    for (const scenario of next) {
      const found = await runScenario(options, scenario);
      findings.push(...found.map((text) => `${scenario.name}: ${text}`));
      completed += 1;
    }
  };
  await Promise.all(Array.from({ length: WINDOWS }, work));
  return { findings, completed };
}

async function main() {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  if (values.screenshots) mkdirSync(values.screenshots, { recursive: true });
  const axe = readFileSync(join(modules, "axe-core/axe.min.js"), "utf8");
  const runner = await Runner.start(resolve(values.runner));
  // Chromium cannot use its sandbox as root, which containers often are. It opens own pages only.
  const program = { executablePath: values.chromium, args: ["--no-sandbox"] };
  const browser = await chromium.launch(program);
  const options = { browser, runner, axe, windows: WINDOWS, folder: values.screenshots };

  const findings = [];
  try {
    if (values.only !== "pages") {
      const done = await runScenarios(options);
      findings.push(...done.findings);
      console.log(`   ${done.completed} scenarios in ${seconds()} s`);
      const least = values.only ? 1 : SCENARIOS_MIN;
      if (done.completed < least) findings.push(`fewer than ${least} scenarios ran`);
    }
    if (!values.only || values.only === "pages") {
      await runner.demo(TENANT);
      const done = await visitPages(options, TENANT);
      findings.push(...done.findings);
      const { pages, looks, files } = done;
      console.log(`   ${pages} pages in ${looks} looks, ${files} downloads, ${seconds()} s`);
      if (PAGES.length < PAGES_MIN) findings.push(`fewer than ${PAGES_MIN} pages are listed`);
    }
  } finally {
    await browser.close();
    runner.stop();
  }

  for (const finding of findings) console.log(finding);
  if (findings.length > 0) console.log(`${findings.length} findings`);
  process.exitCode = findings.length > 0 ? 1 : 0;
}

await main();
