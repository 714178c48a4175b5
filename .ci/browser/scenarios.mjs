// The scenarios, and how one is run: in a tenant of its own, with its own windows.

import { inspect } from "./looks.mjs";
import { ACCESS } from "./scenarios/access.mjs";
import { LISTS } from "./scenarios/lists.mjs";
import { MERGES } from "./scenarios/merges.mjs";
import { Visitor } from "./visitor.mjs";

export const SCENARIOS = [...MERGES, ...LISTS, ...ACCESS];
const EXCERPT_LETTERS = 400;

/** What a scenario works with. */
class Stage {
  constructor({ browser, runner, axe }, tenant) {
    this.browser = browser;
    this.runner = runner;
    this.axe = axe;
    this.tenant = tenant;
    this.visitors = [];
    this.findings = [];
  }

  /** Opens a window in which a user has signed in: an admin, unless other roles are given. */
  async enter({ user = "root", roles = ["admin"], groups = [], ...look } = {}) {
    const visitor = await Visitor.open(this.browser, this.runner, look);
    this.visitors.push(visitor);
    await visitor.signIn(this.tenant, user, { roles, groups });
    return visitor;
  }

  /** Checks the page that a window shows in both color schemes and widths. */
  async inspect({ page }, name) {
    const size = page.viewportSize();
    this.findings.push(...(await inspect(page, name, { axe: this.axe })));
    await page.setViewportSize(size);
  }

  /** Returns the API as a user of this tenant sees it. */
  api(user = "root", roles = ["admin"]) {
    return this.runner.api(this.tenant, user, { roles });
  }
}

/** Runs a scenario and returns its findings. */
export async function runScenario(options, { name, run }) {
  const stage = new Stage(options, `browser-${name.replaceAll(" ", "-")}`);
  const { findings } = stage;
  try {
    await run(stage);
  } catch (error) {
    findings.push(await described(error, stage.visitors.at(-1)));
  }
  for (const visitor of stage.visitors) {
    findings.push(...visitor.findings);
    await visitor.close();
  }
  return findings;
}

/** Returns the error with its place and an excerpt of the page that was open. */
async function described(error, visitor) {
  const place = /scenarios\/\w+\.mjs:\d+/.exec(error.stack ?? "")?.[0] ?? "";
  const lines = [`${error.message} (${place})`];
  try {
    const text = await visitor.page.locator("main").innerText({ timeout: 1000 });
    const excerpt = text.replaceAll(/\s+/g, " ").slice(0, EXCERPT_LETTERS);
    lines.push(`on ${visitor.page.url()}: ${excerpt}`);
  } catch {
    // No page was open.
  }
  return lines.join("\n    ");
}
