// What is checked on a page that is open, in both color schemes and both widths: axe-core, and the
// width of the content. Takes screenshots.

import { join } from "node:path";

const TAGS = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"];
const WIDTHS = [360, 1280];
const SCHEMES = ["light", "dark"];
/** All combinations. */
export const LOOKS = WIDTHS.flatMap((width) => SCHEMES.map((scheme) => ({ width, scheme })));
/** Each width and each scheme once. */
export const LOOKS_WITHOUT_SCRIPTS = [
  { width: 360, scheme: "light" },
  { width: 1280, scheme: "dark" },
];

/**
 * Checks the open page in these combinations and returns the findings. `name` names the page;
 * screenshots are written if `folder` is given.
 */
export async function inspect(page, name, { axe, folder, looks = LOOKS }) {
  const findings = [];
  // Runs through the debugger, so it needs no permission of the content policy.
  await page.evaluate(axe);
  for (const { width, scheme } of looks) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    if (folder) await shoot(page, folder, `${name}-${width}-${scheme}`);
    const closed = await opened(page);
    const found = [...(await overflow(page)), ...(await violations(page))];
    findings.push(...found.map((text) => `${name} at ${width} px, ${scheme}: ${text}`));
    await closed.evaluate((all) => all.forEach((details) => details.removeAttribute("open")));
  }
  return findings;
}

/** Opens what is collapsed, so that it is checked, too. Returns the elements that were closed. */
function opened(page) {
  return page.evaluateHandle(() => {
    const closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => details.setAttribute("open", ""));
    return closed;
  });
}

async function violations(page) {
  const found = await page.evaluate(async (tags) => {
    const options = { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] };
    const { violations } = await window.axe.run(document, options);
    return violations.map(({ id, help, nodes }) => ({
      text: `${id}, ${help}`,
      places: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })),
    }));
  }, TAGS);

  return found.map(({ text, places }) => {
    const [{ html, failureSummary }] = places;
    const summary = failureSummary.split("\n").slice(1).join(";").trim();
    return `axe: ${text} (${places.length} ×): ${html.slice(0, 200)} ${summary.slice(0, 250)}`;
  });
}

/** Describes the content that is wider than the window. */
async function overflow(page) {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth <= clientWidth) return [];

    const isScrolled = (element) => {
      for (let outer = element.parentElement; outer; outer = outer.parentElement) {
        if (getComputedStyle(outer).overflowX !== "visible") return true;
      }
      return false;
    };
    const wide = [...document.body.querySelectorAll("*")]
      .filter((element) => element.getBoundingClientRect().right > clientWidth + 0.5)
      .filter((element) => !isScrolled(element));
    // A long word is wider than its element.
    const inner = [...document.body.querySelectorAll("*")]
      .filter((element) => element.scrollWidth > clientWidth && !isScrolled(element));
    const html = (wide.at(-1) ?? inner.at(-1) ?? document.body).outerHTML.slice(0, 200);
    return [`scrolls horizontally, ${scrollWidth} px because of ${html}`];
  });
}

/** Writes a screenshot of the whole page. */
async function shoot(page, folder, name) {
  const file = `${name.replaceAll(/[^\w-]+/g, "_")}.png`;
  await page.screenshot({ path: join(folder, file), fullPage: true });
}
