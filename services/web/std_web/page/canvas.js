// What all that draws on a canvas shares: painted once for each paint of the screen, again when its size or the theme changes.

/** Return a function that has `paint` called with the next paint of the screen, once for all calls until then. */
export function onceAFrame(paint) {
  let isWaiting = false;
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      paint();
    });
  };
}

/** Keep a canvas painted, also when its size or the theme changes: {redraw(), close()}. */
export function painted(canvas, paint) {
  const redraw = onceAFrame(paint);
  const observer = new ResizeObserver(redraw);
  observer.observe(canvas);
  document.addEventListener("themechange", redraw);
  return {
    redraw,
    close() {
      observer.disconnect();
      document.removeEventListener("themechange", redraw);
    },
  };
}

/** Empty a canvas of a height and return {pen, width}, all in pixels of CSS; null while it is not to be seen. */
export function penOf(canvas, height) {
  const ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (!width) return null;
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  return { pen, width };
}
