// A histogram of two axes as a coloured picture with its axes.
import { painted, penOf } from "./canvas.js";
import { scaling, table } from "./colours.js";
import { h, say } from "./elements.js";
import { themeColour, ticks } from "./plot.js";
import { number, quantity } from "./words.js";

const MARGIN = { left: 44, right: 8, top: 6, bottom: 32 };

/** Make one: {element, draw({counts, shape, axes}), close()}; the rows of the counts go along the first axis, to the right. */
export function heatPlot({ title, height = 240, colours = "viridis" }) {
  const canvas = h("canvas", { role: "img", "aria-label": title });
  const latest = h("span", { class: "latest" });
  const element = h("figure", { class: "plot" }, h("figcaption", {}, h("span", { class: "title" }, title), latest), canvas);
  canvas.style.height = `${height}px`;
  const picture = document.createElement("canvas");
  let data = null;
  const { redraw, close } = painted(canvas, () => paint());
  const area = () => ({ x0: MARGIN.left, x1: canvas.clientWidth - MARGIN.right, y0: MARGIN.top, y1: height - MARGIN.bottom });

  function colour() {
    const { counts, shape: [columns, rows] } = data;
    Object.assign(picture, { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    const words = new Uint32Array(image.data.buffer);
    let highest = 1;
    for (const count of counts) if (count > highest) highest = count;
    const map = table(colours);
    const place = scaling({ scale: "sqrt", low: 0, high: highest });
    for (let i = 0; i < columns; i += 1) {
      for (let k = 0; k < rows; k += 1) {
        const count = counts[i * rows + k];
        if (count) words[(rows - 1 - k) * columns + i] = map[Math.round(255 * Math.min(1, 0.12 + 0.88 * place(count)))];
      }
    }
    picture.getContext("2d").putImageData(image, 0, 0);
  }

  function paint() {
    const { pen } = (data && penOf(canvas, height)) ?? {};
    if (!pen) return;
    const { x0, x1, y0, y1 } = area();
    pen.strokeStyle = themeColour("--line");
    pen.strokeRect(x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(picture, x0, y0, x1 - x0, y1 - y0);
    pen.fillStyle = themeColour("--muted");
    const [across, upright] = data.axes;
    pen.textBaseline = "top";
    pen.textAlign = "center";
    for (const tick of ticks(across.low, across.high, 5)) pen.fillText(quantity(tick), x0 + ((tick - across.low) / (across.high - across.low)) * (x1 - x0), y1 + 4);
    pen.fillText(words(across), (x0 + x1) / 2, y1 + 18);
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const tick of ticks(upright.low, upright.high, 4)) pen.fillText(quantity(tick), x0 - 5, y1 - ((tick - upright.low) / (upright.high - upright.low)) * (y1 - y0));
    pen.save();
    pen.translate(8, (y0 + y1) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textAlign = "center";
    pen.fillText(words(upright), 0, 0);
    pen.restore();
  }

  const words = ({ title: name, unit }) => (unit ? `${name} / ${unit}` : name);
  canvas.addEventListener("pointermove", (event) => {
    if (!data) return;
    const { x0, x1, y0, y1 } = area();
    const [across, upright] = data.axes;
    const [columns, rows] = data.shape;
    const i = Math.floor(((event.offsetX - x0) / (x1 - x0)) * columns);
    const k = Math.floor(((y1 - event.offsetY) / (y1 - y0)) * rows);
    if (i < 0 || k < 0 || i >= columns || k >= rows) return say(latest, "");
    const value = (axis, bin, n) => number(axis.low + ((bin + 0.5) / n) * (axis.high - axis.low), 3);
    say(latest, `${value(across, i, columns)}, ${value(upright, k, rows)}: ${number(data.counts[i * rows + k])}`);
  });
  canvas.addEventListener("pointerleave", () => say(latest, ""));
  return {
    element,
    draw(next) {
      data = next;
      colour();
      redraw();
    },
    close,
  };
}
