"""What is wrong with a page for whoever uses it by keyboard, by ear, with weak eyes or on a small phone."""

from typing import Any

AUDIT = r"""
() => {
  const found = [];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: false });
  const name = (e) => `${e.tagName.toLowerCase()}${e.id ? "#" + e.id : ""}${e.name ? "[" + e.name + "]" : ""}`;
  const root = document.documentElement;
  if (!["en", "zh-CN"].includes(root.lang)) found.push(`lang "${root.lang}"`);
  if (!document.title.trim()) found.push("no title");
  if (!document.querySelector('meta[name="robots"][content*="noindex"]')) found.push("may be indexed");
  if (root.scrollWidth > root.clientWidth) found.push(`wider than the screen: ${root.scrollWidth}`);
  const titles = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(seen);
  if (titles.filter((e) => e.tagName === "H1").length !== 1) found.push("not one h1");
  let level = 0;
  for (const e of titles) {
    if (+e.tagName[1] > level + 1) found.push(`heading skips a level: ${e.textContent.trim()}`);
    if (!e.textContent.trim()) found.push("empty heading");
    level = +e.tagName[1];
  }
  if ([...document.querySelectorAll("main")].filter(seen).length > 1) found.push("more than one main");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids.filter((one, n) => ids.indexOf(one) !== n))) found.push(`id twice: ${id}`);
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby], [aria-controls], label[for]")) {
    for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
      for (const id of (e.getAttribute(attribute) || "").split(/\s+/).filter(Boolean)) {
        if (!document.getElementById(id)) found.push(`${name(e)}: ${attribute} names nothing: ${id}`);
      }
    }
  }
  const spoken = (e) =>
    (e.getAttribute("aria-label") || "") +
    (e.getAttribute("aria-labelledby") || "").split(/\s+/)
      .map((id) => document.getElementById(id)?.textContent || "").join("") +
    [...(e.labels || [])].map((label) => label.textContent).join("") + (e.title || "") +
    (["BUTTON", "A"].includes(e.tagName) ? e.textContent : "") + (e.alt || "");
  const named = "input:not([type=hidden]), select, textarea, button, a[href], iframe, img, canvas, svg";
  for (const e of document.querySelectorAll(named)) {
    if (!seen(e) || e.closest("[aria-hidden=true]")) continue;
    const drawing = ["CANVAS", "svg"].includes(e.tagName);
    const legend = drawing && e.closest("fieldset")?.querySelector("legend")?.textContent;
    if (!(spoken(e) || legend || "").trim()) found.push(`${name(e)} has no name`);
    if (e.tabIndex > 0) found.push(`${name(e)}: tabindex ${e.tabIndex}`);
    const { height } = e.getBoundingClientRect();
    if (["BUTTON", "SELECT", "TEXTAREA"].includes(e.tagName) && height < 24) found.push(`${name(e)} is ${height} high`);
  }
  for (const e of document.querySelectorAll("[style], style, script:not([src])")) found.push(`${name(e)} is inline`);
  for (const e of document.querySelectorAll("*")) {
    for (const { name: attribute } of e.attributes) if (/^on/.test(attribute)) found.push(`${name(e)}: ${attribute}`);
  }
  for (const { name: address } of performance.getEntriesByType("resource")) {
    if (!address.startsWith(location.origin)) found.push(`from elsewhere: ${address}`);
  }
  // Contrast, WCAG 2: 4.5 for text, 3 for large text.
  const parse = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const told = new Set();
  const apart = "[aria-hidden=true], svg, :disabled, noscript, option";
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !seen(e) || e.closest(apart)) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(style.color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    const what = `contrast ${ratio.toFixed(1)} of ${name(e)}.${e.className}`;
    if (ratio < (large ? 3 : 4.5) && !told.has(what)) { told.add(what); found.push(what); }
  }
  return found;
}
"""

LEFT_BEHIND = r"""
(locale) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || e.closest("#switch, script, noscript, [data-given]")) continue;
    if (locale === "en" ? /[\u3400-\u9fff]/.test(text) : e.dataset.zh && text !== e.dataset.zh) found.push(text);
  }
  for (const e of document.querySelectorAll("[aria-label]")) {
    const chinese = /[\u3400-\u9fff]/.test(e.getAttribute("aria-label"));
    if (chinese !== (locale === "zh")) found.push(`aria-label ${e.getAttribute("aria-label")}`);
  }
  return found;
}
"""

FOCUS = r"""
() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e);
  const around = e.closest("label") ? getComputedStyle(e.closest("label")) : style;
  const shown = [style, around].some((one) => one.outlineStyle !== "none" && parseFloat(one.outlineWidth) > 0);
  e.dataset.seen = (e.dataset.seen || 0) - -1;
  return { name: `${e.tagName.toLowerCase()}#${e.id || e.name || e.textContent.trim()}`, shown, again: e.dataset.seen > 1,
           place: [...document.querySelectorAll("*")].indexOf(e) };
}
"""


async def faults(page: Any) -> list[str]:
    """What is wrong with the page as it stands, and with what is reached by the Tab key: in its order, and seen."""
    found: list[str] = await page.evaluate(AUDIT)
    await page.evaluate(
        # Tab begins at the top again, wherever it was.
        "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex'); scrollTo(0, 0)"
    )
    wanted = await page.evaluate(
        """
        () => [...document.querySelectorAll("a[href], button, select, textarea, input:not([type=hidden])")]
          .filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0
            && (e.type !== "radio" || e.checked || !document.querySelector(`input[name="${e.name}"]:checked`)))
          .map((e) => [...document.querySelectorAll("*")].indexOf(e))
        """
    )
    reached: list[int] = []
    for _ in range(80):
        await page.keyboard.press("Tab")
        at = await page.evaluate(FOCUS)
        if at is None or at["again"]:
            break
        if not at["shown"]:
            found.append(f"focus is not seen on {at['name']}")
        reached.append(at["place"])
    if reached != sorted(reached):
        found.append(f"Tab does not follow the page: {reached}")
    radios: list[int] = await page.evaluate(
        """() => [...document.querySelectorAll("input[type=radio]")]
          .map((e) => [...document.querySelectorAll("*")].indexOf(e))"""
    )
    if missed := set(wanted) - set(reached) - set(radios):
        names = await page.evaluate(
            "(places) => places.map((n) => document.querySelectorAll('*')[n].outerHTML.slice(0, 80))",
            sorted(missed),
        )
        found.append(f"not reached by Tab: {names}")
    return found


async def left_behind(page: Any, locale: str) -> list[str]:
    """Sentences that are not in `locale` after the switch was used by keyboard."""
    if await page.get_attribute("html", "lang") != {"en": "en", "zh": "zh-CN"}[locale]:
        await page.focus("#switch")
        await page.keyboard.press("Enter")
        await page.wait_for_function(
            "(lang) => document.documentElement.lang === lang", arg={"en": "en", "zh": "zh-CN"}[locale]
        )
    found: list[str] = []
    for _ in range(50):
        found = await page.evaluate(LEFT_BEHIND, locale)
        if not found:
            break
        # Pages of the house ask the server anew in the other language.
        await page.wait_for_timeout(100)
    return found
