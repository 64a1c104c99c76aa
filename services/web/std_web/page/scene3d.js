// Points and lines in three dimensions on a canvas, turned by mouse, touch and keyboard. No WebGL: remote desktops often have none.
import { painted } from "./canvas.js";
import { themeColour } from "./plot.js";
import { h } from "./elements.js";

const TURN = 0.008; // radians for each pixel that the pointer moves
const KEY_TURN = 0.12;
const NEAREST = 0.25;
const FARTHEST = 8;

/**
 * Make a scene: {element, draw({points, colours, lines}), reset(), onKey(event), angles(), close()}.
 *
 * `centre` and `radius`: what is in view at first. Directions are named for a chamber: `up` is the axis that stands upright.
 * points: Float32Array of x, y, z; colours: Uint32Array, as a canvas has them; lines: [{path: [[x, y, z], …], colour, width?}].
 * `label`: what the picture is, for those who do not see it. `size`: side of a point in pixels of CSS.
 */
export function scene({ centre, radius, up = 0, label, size = 2.2, angles = null, onturn = () => {} }) {
  const canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": label });
  const element = h("div", { class: "scene" }, canvas);
  const first = { yaw: -0.6, pitch: 0.35, zoom: 1 };
  let view = { ...first, ...angles };
  let content = { points: new Float32Array(), colours: new Uint32Array(), lines: [] };
  const { redraw, close } = painted(canvas, () => paint());

  /** Return what turns a point into pixels and depth; right-handed, with `up` upright. */
  function projection(width, height) {
    const [a, b, c] = [(up + 1) % 3, (up + 2) % 3, up];
    const [cy, sy, cp, sp] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
    const distance = 3.2 * radius;
    const scale = (0.5 * Math.min(width, height) * view.zoom * distance) / (1.05 * radius);
    return (x, y, z, out) => {
      const place = [x - centre[0], y - centre[1], z - centre[2]];
      const right = cy * place[a] + sy * place[b];
      const away = -sy * place[a] + cy * place[b];
      const height3 = place[c];
      const depth = distance + away * cp - height3 * sp;
      const factor = scale / Math.max(depth, 0.05 * distance);
      out[0] = width / 2 + right * factor;
      out[1] = height / 2 - (height3 * cp + away * sp) * factor;
      out[2] = depth;
      return out;
    };
  }

  function paint() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const project = projection(width, height);
    pen.clearRect(0, 0, width, height);
    drawLines(pen, project, ratio);
    drawPoints(pen, project, width, height, Math.max(1, Math.round(size * ratio)));
  }

  function drawLines(pen, project, ratio) {
    const out = [0, 0, 0];
    for (const { path, colour, width = 1 } of content.lines) {
      pen.strokeStyle = colour.startsWith("--") ? themeColour(colour) : colour;
      pen.lineWidth = width * ratio;
      pen.beginPath();
      path.forEach(([x, y, z], i) => {
        project(x, y, z, out);
        if (i) pen.lineTo(out[0], out[1]);
        else pen.moveTo(out[0], out[1]);
      });
      pen.stroke();
    }
  }

  /** Write the points into the picture, each nearer one over those behind it. */
  function drawPoints(pen, project, width, height, side) {
    const { points, colours } = content;
    const n = points.length / 3;
    if (!n) return;
    const picture = pen.getImageData(0, 0, width, height);
    const pixels = new Uint32Array(picture.data.buffer);
    const depths = new Float32Array(width * height).fill(Infinity);
    const out = [0, 0, 0];
    const half = side >> 1;
    for (let i = 0; i < n; i += 1) {
      project(points[3 * i], points[3 * i + 1], points[3 * i + 2], out);
      const [left, top] = [Math.round(out[0]) - half, Math.round(out[1]) - half];
      for (let y = Math.max(0, top); y < Math.min(height, top + side); y += 1) {
        for (let x = Math.max(0, left); x < Math.min(width, left + side); x += 1) {
          const at = y * width + x;
          if (out[2] >= depths[at]) continue;
          depths[at] = out[2];
          pixels[at] = colours[i];
        }
      }
    }
    pen.putImageData(picture, 0, 0);
  }

  function turn(yaw, pitch) {
    view.yaw += yaw;
    view.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, view.pitch + pitch));
    redraw();
    onturn(view);
  }

  function zoom(factor) {
    view.zoom = Math.max(NEAREST, Math.min(FARTHEST, view.zoom * factor));
    redraw();
    onturn(view);
  }

  function reset() {
    view = { ...first };
    redraw();
    onturn(view);
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) turn(-event.movementX * TURN, event.movementY * TURN);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });
  canvas.addEventListener("dblclick", reset);
  const onKey = (event) => {
    const steps = { ArrowLeft: [KEY_TURN, 0], ArrowRight: [-KEY_TURN, 0], ArrowUp: [0, -KEY_TURN], ArrowDown: [0, KEY_TURN] }[event.key];
    if (steps) turn(...steps);
    else if (event.key === "+" || event.key === "=") zoom(1.2);
    else if (event.key === "-") zoom(1 / 1.2);
    else if (event.key === "0") reset();
    else return false;
    return true;
  };
  return {
    element,
    onKey,
    reset,
    draw(next) {
      content = { ...content, ...next };
      redraw();
    },
    close,
  };
}

export const SCENE_KEYS = [["← → ↑ ↓", "Turn"], ["+ −", "Nearer, farther"], ["0", "As at first"]];

/** Return the lines of a cylinder along an axis, and of its ends. */
export function cylinder({ radius, low, high, axis = 2, colour = "--line", n = 48 }) {
  const at = (angle, height) => {
    const place = [0, 0, 0];
    place[axis] = height;
    place[(axis + 1) % 3] = radius * Math.cos(angle);
    place[(axis + 2) % 3] = radius * Math.sin(angle);
    return place;
  };
  const circle = (height) => Array.from({ length: n + 1 }, (_, i) => at((2 * Math.PI * i) / n, height));
  const sides = Array.from({ length: 8 }, (_, i) => [at((Math.PI * i) / 4, low), at((Math.PI * i) / 4, high)]);
  return [circle(low), circle(high), ...sides].map((path) => ({ path, colour }));
}
