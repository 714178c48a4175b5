// A user with a browser. Everything that a page does wrong is collected as a finding: errors in the
// console, violations of the content policy, foreign requests, missing headers, dialogs.

const PAGE_TIMEOUT_MS = 15_000;

/** The directives of the content policy; `img-src` may also name the store of the media. */
const POLICY = {
  "default-src": "'none'",
  "script-src": "'self'",
  "style-src": "'self'",
  "form-action": "'self'",
  "base-uri": "'none'",
  "frame-ancestors": "'none'",
};
const HEADERS = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
};

export class Visitor {
  /** Opens a window. `state` is the session of another window. */
  static async open(browser, runner, { scripts = true, width = 1280, state } = {}) {
    const context = await browser.newContext({
      javaScriptEnabled: scripts,
      viewport: { width, height: 800 },
      reducedMotion: "reduce",
      storageState: state,
    });
    context.setDefaultTimeout(PAGE_TIMEOUT_MS);
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        const { effectiveDirective, blockedURI, sourceFile, lineNumber } = event;
        const place = `${sourceFile}:${lineNumber}`;
        console.error(`policy violation: ${effectiveDirective} ${blockedURI} ${place}`);
      });
    });

    const visitor = new Visitor(context, runner);
    context.on("response", (response) => visitor.#response(response));
    context.on("request", (request) => visitor.#request(request));
    context.on("requestfailed", (request) => visitor.#failed(request));
    visitor.page = await visitor.tab();
    return visitor;
  }

  constructor(context, runner) {
    this.context = context;
    this.runner = runner;
    this.findings = new Set();
    /** The statuses of errors that are part of the test. */
    this.expected = new Set();
    /** The number of responses whose headers were checked. */
    this.responses = 0;
  }

  /** Opens another tab with the same session. */
  async tab() {
    const page = await this.context.newPage();
    page.on("console", (message) => this.#message(message));
    page.on("pageerror", (error) => this.#found(page.url(), `error in a script: ${error.message}`));
    page.on("dialog", async (dialog) => {
      this.#found(page.url(), `a dialog opened: ${dialog.message()}`);
      await dialog.dismiss();
    });
    return page;
  }

  /** Opens a page of the console and returns the status of its response. */
  async goto(path, page = this.page) {
    const response = await page.goto(`${this.runner.console}/${path}`);
    return response.status();
  }

  /** Signs in with the form of the runner, and returns to the page that was requested. */
  async signIn(tenant, user, { roles = ["admin"], groups = [], page = this.page } = {}) {
    if (!page.url().includes("/console/sign-in")) await this.goto("sign-in", page);
    await page.getByLabel("Tenant").fill(tenant);
    await page.getByLabel("User").fill(user);
    for (const box of await page.getByRole("checkbox").all()) {
      await box.setChecked(roles.includes(await box.getAttribute("value")));
    }
    await page.getByLabel("Groups").fill(groups.join(", "));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL((url) => !url.pathname.endsWith("/sign-in"));
  }

  /** Returns the addresses of the links of an open page, below the console, without fragments. */
  async links(selector) {
    const root = `${this.runner.console}/`;
    const all = this.page.locator(selector);
    const found = await all.evaluateAll((links) => links.map((link) => link.href));
    const below = found.filter((url) => url.startsWith(root));
    return below.map((url) => url.slice(root.length).split("#")[0]);
  }

  /** Returns the addresses of the navigation of an open page. */
  navigation() {
    return this.links("nav[aria-label=Pages] a");
  }

  async close() {
    await this.context.close();
  }

  #found(url, text) {
    const path = url.startsWith(this.runner.url) ? url.slice(this.runner.url.length) : url;
    this.findings.add(`${path}: ${text}`);
  }

  #message(message) {
    if (!["error", "warning"].includes(message.type())) return;
    const text = message.text();
    const status = /status of (\d+)/.exec(text)?.[1];
    if (status && this.expected.has(Number(status))) return;
    this.#found(message.location().url, `the browser's console: ${text}`);
  }

  #request(request) {
    const url = request.url();
    if (!url.startsWith(`${this.runner.url}/`)) this.#found(url, "a request to another site");
  }

  #failed(request) {
    // A download and a navigation that another one replaces are aborted.
    const reason = request.failure()?.errorText;
    if (reason !== "net::ERR_ABORTED") this.#found(request.url(), `the request failed: ${reason}`);
  }

  #response(response) {
    if (!response.url().startsWith(this.runner.console)) return;
    this.responses += 1;
    for (const text of wrongHeaders(response.headers(), response.url())) {
      this.#found(response.url(), text);
    }
  }
}

/** Returns what is wrong with the headers of a response of the console. */
export function wrongHeaders(headers, url) {
  const wrong = [];
  for (const [name, value] of Object.entries(HEADERS)) {
    if (headers[name] !== value) wrong.push(`${name} is ${headers[name]}`);
  }

  const policy = new Map();
  for (const directive of (headers["content-security-policy"] ?? "").split(";")) {
    const [name, ...sources] = directive.trim().split(" ");
    policy.set(name, sources.join(" "));
  }
  for (const [name, sources] of Object.entries(POLICY)) {
    if (policy.get(name) !== sources) wrong.push(`the policy's ${name} is ${policy.get(name)}`);
  }
  const images = policy.get("img-src") ?? "";
  if (!/^'self'( https?:\/\/[\w.:-]+)*$/.test(images)) {
    wrong.push(`the policy's img-src is ${images}`);
  }
  if (policy.size > Object.keys(POLICY).length + 1) {
    wrong.push(`the policy has further directives: ${[...policy.keys()].join(" ")}`);
  }

  const isAsset = new URL(url).pathname.startsWith("/console/assets/");
  const caching = isAsset ? "public, max-age=31536000, immutable" : "no-store";
  const stated = headers["cache-control"];
  if (stated !== caching) wrong.push(`cache-control is ${stated}`);
  return wrong;
}
