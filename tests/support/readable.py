"""Whether a page can be read: the contrast of every text as the browser draws it, and where the keyboard is."""

from __future__ import annotations

from playwright.sync_api import Page

ENOUGH = 4.5
"""Contrast of text, WCAG 2.1, success criterion 1.4.3 (AA); what is disabled is exempt there."""

_FAINT = """enough => {
  const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const over = (colour, ground) => {  // any colour the browser knows, over an opaque one
    const what = `${colour} ${ground}`;
    if (!known.has(what)) known.set(what, painted(colour, ground));
    return known.get(what);
  };
  const painted = (colour, ground) => {
    paint.fillStyle = `rgb(${ground})`;
    paint.fillRect(0, 0, 1, 1);
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const lineage = (node) => (node ? [...lineage(node.parentElement), node] : []);
  const faint = new Map();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode, holder = text.parentElement;
    if (!text.textContent.trim() || !holder.checkVisibility({ opacityProperty: false })) continue;
    if (holder.closest('script, style, .visually-hidden, :disabled, option')) continue;
    let ground = over('Canvas', [255, 255, 255]), opacity = 1;
    for (const each of lineage(holder)) {
      const style = getComputedStyle(each);
      ground = over(style.backgroundColor, ground);
      opacity *= Number(style.opacity);
    }
    const ink = over(getComputedStyle(holder).color, ground);
    const seen = ink.map((v, i) => Math.round(v * opacity + ground[i] * (1 - opacity)));
    const [low, high] = [light(seen), light(ground)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    const words = text.textContent.trim().slice(0, 40);
    if (contrast < enough) faint.set(`${holder.tagName.toLowerCase()}.${holder.className} ${words}`, contrast);
  }
  return [...faint].map(([where, contrast]) => `${where}: ${contrast.toFixed(2)}`);
}"""


def faint_texts(page: Page) -> list[str]:
    """What is there to be read and has too little contrast, with how much it has."""
    found: list[str] = page.evaluate(_FAINT, ENOUGH)
    return found


def unmarked_stops(page: Page, *, steps: int) -> list[str]:
    """Elements that Tab reaches, `steps` of them, without a line around them that says where the keyboard is."""
    found = []
    page.evaluate("document.activeElement?.blur()")
    for _ in range(steps):
        page.keyboard.press("Tab")
        where, line = page.evaluate("""() => {
            const at = document.activeElement, style = getComputedStyle(at);
            const width = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
            return [`${at.tagName.toLowerCase()}#${at.id} ${at.textContent.trim().slice(0, 20)}`, width];
        }""")
        if line < 2:
            found.append(where)
    return found
