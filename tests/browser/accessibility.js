// Runs in the page: returns in words what somebody who sees little, or has no mouse, would miss.
() => {
  const faults = [];
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (front, alpha, back) => front.map((value, i) => value * alpha + back[i] * (1 - alpha));
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(one).backgroundColor);
      layers.push([[r, g, b], alpha]);
      if (alpha === 1) break;
    }
    return layers.reverse().reduce((back, [front, alpha]) => over(front, alpha, back), [255, 255, 255]);
  };
  const name = (element) => `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> "${element.textContent.trim().slice(0, 40)}"`;
  const isSeen = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) && element.getBoundingClientRect().width > 1;

  // WCAG 2.2, 1.4.3: text has a contrast of 4.5, large text of 3.
  for (const element of document.body.querySelectorAll("*")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!hasText || !isSeen(element) || element.closest("svg, noscript, option") || element.matches(":disabled")) continue;
    const style = getComputedStyle(element);
    const [r, g, b, alpha = 1] = channels(style.color);
    const back = ground(element);
    const [dark, bright] = [luminance(over([r, g, b], alpha, back)), luminance(back)].sort((x, y) => x - y);
    const contrast = (bright + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (contrast < least) faults.push(`contrast ${contrast.toFixed(2)} of ${name(element)}`);
  }
  // 4.1.2: what one can use has a name.
  for (const element of document.querySelectorAll("a[href], button, input, select, textarea, [tabindex='0'], [role='img']")) {
    if (!isSeen(element)) continue;
    const words = element.getAttribute("aria-label") || element.textContent.trim() || [...(element.labels ?? [])].map((label) => label.textContent.trim()).join("");
    if (!words) faults.push(`no name: ${name(element)}`);
  }
  // 1.1.1, 1.3.1, 2.4.2, 3.1.1, and ids that are there once.
  if (!document.documentElement.lang) faults.push("the page has no language");
  if (!document.title) faults.push("the page has no title");
  if (document.querySelectorAll("main").length !== 1) faults.push("the page has not one main part");
  if ([...document.querySelectorAll("h1")].length !== 1) faults.push(`the page has ${document.querySelectorAll("h1").length} headings of the first level`);
  for (const image of document.images) if (!image.hasAttribute("alt")) faults.push(`no alternative: ${image.src}`);
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) faults.push(`the id ${id} is there twice`);
  for (const table of document.querySelectorAll("table")) if (!table.querySelector("th[scope]")) faults.push(`a table without headings: ${name(table)}`);
  return faults;
}
