import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { findTool } from '#mner/local/tools.js';

/** The browser that test/run.mjs provides, or the one on the PATH. */
export const CHROMIUM = process.env.MNER_TEST_CHROMIUM || (await findTool('chromium'));

/** A Chromium without a window, with a profile of its own, that talks to nobody by itself. Close it at the end. */
export function openBrowser(): Promise<Browser> {
  if (!CHROMIUM) throw new Error('There is no Chromium.');
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface Watched {
  readonly page: Page;
  /** What the console said as a warning or an error, exceptions of the page, and requests to anybody but its own server. */
  readonly problems: readonly string[];
  close(): Promise<void>;
}

/** Opens a page, in a context of its own, under watch from its first request on. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('console', (message) => {
    if (['warning', 'error'].includes(message.type())) problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!['blob:', 'data:'].includes(protocol) && origin !== new URL(url).origin) problems.push(request.url());
  });
  await page.goto(url);
  return { page, problems, close: () => context.close() };
}

/**
 * Texts that are hard to read: their contrast with what lies behind them is under 4.5 to 1 (WCAG AA). Looks at what is shown now,
 * the placeholders of fields among it.
 */
export function paleTexts(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const colour = (text) => {
      const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
      return { rgb: [r, g, b], a };
    };
    const over = (front, back) => front.rgb.map((part, i) => part * front.a + back[i] * (1 - front.a));
    const behind = (node) => {
      if (!node) return colour(getComputedStyle(document.documentElement).colorScheme.includes('dark') ? '0 0 0' : '255 255 255').rgb;
      const own = colour(getComputedStyle(node).backgroundColor);
      return own.a === 1 ? own.rgb : over(own, behind(node.parentElement));
    };
    const faded = (node) => (node ? Number(getComputedStyle(node).opacity) * faded(node.parentElement) : 1);
    const light = (rgb) => {
      const [r, g, b] = rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pale = [];
    const look = (node, text, style) => {
      const back = behind(node);
      const front = colour(style.color);
      front.a *= faded(node);
      const [dark, bright] = [light(over(front, back)), light(back)].sort((a, b) => a - b);
      const contrast = (bright + 0.05) / (dark + 0.05);
      if (contrast < 4.5) pale.push(text.trim() + ': ' + contrast.toFixed(2));
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const { data, parentElement: node } = texts.currentNode;
      if (data.trim() && node.checkVisibility()) look(node, data, getComputedStyle(node));
    }
    for (const node of document.querySelectorAll('input, textarea')) {
      if (!node.checkVisibility()) continue;
      look(node, node.value || 'a value', getComputedStyle(node));
      if (node.placeholder) look(node, node.placeholder, getComputedStyle(node, '::placeholder'));
      if (node.type === 'file') {
        const button = getComputedStyle(node, '::file-selector-button');
        const contrast = [light(colour(button.color).rgb), light(colour(button.backgroundColor).rgb)].sort((a, b) => a - b);
        if ((contrast[1] + 0.05) / (contrast[0] + 0.05) < 4.5) pale.push('the file button');
      }
    }
    return pale;
  })()`);
}

/** What a page lacks for those who do not see it or have no mouse, one line for each finding. */
export function barriers(page: Page): Promise<string[]> {
  return page.evaluate<string[]>(`(() => {
    const found = [];
    const named = (node) => node.ariaLabel || node.alt || node.innerText?.trim() || [...(node.labels ?? [])].some((label) => label.innerText.trim());
    if (!document.documentElement.lang) found.push('no language');
    if (!document.title) found.push('no title');
    if (document.querySelectorAll('main').length !== 1) found.push('not one main part');
    const ids = [...document.querySelectorAll('[id]')].map((node) => node.id);
    for (const id of new Set(ids)) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push('twice: #' + id);
    for (const attribute of ['for', 'aria-describedby', 'aria-labelledby'])
      for (const node of document.querySelectorAll('[' + attribute + ']'))
        for (const id of node.getAttribute(attribute).split(' ')) if (!ids.includes(id)) found.push(attribute + ' names nothing: ' + id);
    for (const node of document.querySelectorAll('input, textarea, button, a, img, meter, summary')) {
      if (!node.checkVisibility()) continue;
      const name = node.tagName.toLowerCase() + ' ' + (node.id || node.innerText);
      if (!named(node)) found.push('no name: ' + name);
      const box = node.getBoundingClientRect();
      if (node.matches('input, textarea, button, a, summary') && (box.width < 24 || box.height < 24)) found.push('under 24 pixels: ' + name);
    }
    let level = 0;
    for (const node of document.querySelectorAll('h1, h2, h3, h4')) {
      if (Number(node.tagName[1]) > level + 1) found.push('a heading is left out before ' + node.innerText);
      level = Number(node.tagName[1]);
    }
    for (const cell of document.querySelectorAll('th')) if (!cell.scope) found.push('no scope: ' + cell.innerText);
    const { scrollWidth, clientWidth } = document.documentElement;
    if (scrollWidth > clientWidth) found.push('wider than the screen: ' + scrollWidth);
    return found;
  })()`);
}
