// The mouse, the fingers and the keys on the picture: pan, zoom, mark a region, pin the cursor.

const STEP = 1.25;

/**
 * Let hands move a picture. `parts`: picture, onview() after zoom or pan, oncursor(x, y or null), onpin(x, y),
 * isMarking() and onregion(corners).
 */
export function handsOn({ picture, onview, oncursor, onpin, isMarking, onregion, onband }) {
  const { canvas, viewport } = picture;
  const fingers = new Map();
  let travelled = 0;
  let start = null;

  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * picture.ratio, (event.clientY - box.top) * picture.ratio];
  };
  const moved = () => {
    picture.draw();
    onview();
  };

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    viewport.zoom(STEP ** (-Math.sign(event.deltaY) * Math.min(1, Math.abs(event.deltaY) / 60)), ...placeOf(event));
    moved();
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, placeOf(event));
    travelled = 0;
    start = isMarking() || event.shiftKey ? viewport.toImage(...placeOf(event)) : null;
  });

  canvas.addEventListener("pointermove", (event) => {
    const place = placeOf(event);
    const [ix, iy] = viewport.toImage(...place).map(Math.floor);
    const inside = ix >= 0 && iy >= 0 && ix < viewport.imageWidth && iy < viewport.imageHeight;
    oncursor(inside ? [ix, iy] : null);
    const before = fingers.get(event.pointerId);
    if (!before) return;
    travelled += Math.hypot(place[0] - before[0], place[1] - before[1]);
    if (start) onband(between(start, viewport.toImage(...place)));
    else if (fingers.size === 1) {
      if (travelled > 3) {
        viewport.pan(place[0] - before[0], place[1] - before[1]);
        moved();
      }
    } else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const grown = Math.hypot(place[0] - other[0], place[1] - other[1]) / (Math.hypot(before[0] - other[0], before[1] - other[1]) || 1);
      viewport.zoom(grown, (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
      moved();
    }
    fingers.set(event.pointerId, place);
  });

  const lift = (event) => {
    const was = fingers.delete(event.pointerId);
    if (!was || event.type === "pointercancel") {
      start = null;
      onband(null);
      return;
    }
    if (start) {
      const corners = between(start, viewport.toImage(...placeOf(event)));
      start = null;
      onband(null);
      if (travelled > 3) onregion(corners);
    } else if (travelled <= 3) onpin(...viewport.toImage(...placeOf(event)).map(Math.floor));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => oncursor(null));
  canvas.addEventListener("dblclick", (event) => {
    viewport.zoom(4, ...placeOf(event));
    moved();
  });

  function between([ax, ay], [bx, by]) {
    const { imageWidth, imageHeight } = viewport;
    const within = (value, end) => Math.min(end, Math.max(0, value));
    return [within(Math.floor(Math.min(ax, bx)), imageWidth - 1), within(Math.floor(Math.min(ay, by)), imageHeight - 1),
      within(Math.ceil(Math.max(ax, bx)), imageWidth), within(Math.ceil(Math.max(ay, by)), imageHeight)];
  }

  return {
    zoom(direction) {
      viewport.zoom(STEP ** (2 * direction));
      moved();
    },
    pan(dx, dy) {
      viewport.pan(dx * picture.canvas.width * 0.15, dy * picture.canvas.height * 0.15);
      moved();
    },
    fit() {
      viewport.fit();
      moved();
    },
    /** Draw one pixel of the detector as one of the screen. */
    full() {
      viewport.zoom(1 / viewport.scale);
      moved();
    },
  };
}
