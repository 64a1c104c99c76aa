// Which part of the detector the window shows. Pixel (x, y) covers x to x + 1 and y to y + 1; row 0 is at the top.

const MOST_VALUES = 4096; // of a side, that the server gives
const LARGEST = 160; // of the screen's pixels for one of the detector

/** The part of an image that a window shows: its centre, and how large a pixel is drawn. */
export class Viewport {
  constructor() {
    Object.assign(this, { imageWidth: 1, imageHeight: 1, width: 1, height: 1, x: 0.5, y: 0.5, scale: 1, fitted: true, wish: null });
  }

  /** Take the size of the image, in pixels; returns whether it is another one. */
  setImage(width, height) {
    if (width === this.imageWidth && height === this.imageHeight) return false;
    Object.assign(this, { imageWidth: width, imageHeight: height });
    this.fit();
    return true;
  }

  /** Take the size of the window, in pixels of the screen. */
  setWindow(width, height) {
    Object.assign(this, { width: Math.max(1, width), height: Math.max(1, height) });
    if (this.wish) this.showRegion(this.wish);
    else if (this.fitted) this.fit();
    else this.settle();
  }

  get smallest() {
    return Math.min(this.width / this.imageWidth, this.height / this.imageHeight);
  }

  /** Show all of the image. */
  fit() {
    Object.assign(this, { x: this.imageWidth / 2, y: this.imageHeight / 2, scale: this.smallest, fitted: true });
  }

  /** Show a region x0, y0, x1, y1 whole, at once or as soon as the window has a size. */
  showRegion([x0, y0, x1, y1]) {
    this.wish = this.width > 1 ? null : [x0, y0, x1, y1];
    const scale = Math.min(this.width / Math.max(1, x1 - x0), this.height / Math.max(1, y1 - y0));
    Object.assign(this, { x: (x0 + x1) / 2, y: (y0 + y1) / 2, scale, fitted: false });
    this.settle();
  }

  /** Change the size of a pixel by a factor; what is at a place of the window stays there. */
  zoom(factor, sx = this.width / 2, sy = this.height / 2) {
    const [ix, iy] = this.toImage(sx, sy);
    this.fitted = false;
    this.scale = Math.min(LARGEST, Math.max(this.smallest / 2, this.scale * factor));
    this.x = ix - (sx - this.width / 2) / this.scale;
    this.y = iy - (sy - this.height / 2) / this.scale;
    this.settle();
  }

  /** Move by pixels of the screen. */
  pan(dx, dy) {
    this.fitted = false;
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.settle();
  }

  settle() {
    this.scale = Math.min(LARGEST, this.scale);
    this.x = Math.min(this.imageWidth, Math.max(0, this.x));
    this.y = Math.min(this.imageHeight, Math.max(0, this.y));
  }

  /** Return the place in the image of a place in the window. */
  toImage(sx, sy) {
    return [this.x + (sx - this.width / 2) / this.scale, this.y + (sy - this.height / 2) / this.scale];
  }

  /** Return the place in the window of a place in the image. */
  toWindow(ix, iy) {
    return [(ix - this.x) * this.scale + this.width / 2, (iy - this.y) * this.scale + this.height / 2];
  }

  /** Return the whole pixels that are to be seen: x0, y0, x1, y1, the ends excluded. */
  region() {
    const [x0, y0] = this.toImage(0, 0);
    const [x1, y1] = this.toImage(this.width, this.height);
    const left = Math.min(this.imageWidth - 1, Math.max(0, Math.floor(x0)));
    const top = Math.min(this.imageHeight - 1, Math.max(0, Math.floor(y0)));
    return [left, top, Math.max(left + 1, Math.min(this.imageWidth, Math.ceil(x1))), Math.max(top + 1, Math.min(this.imageHeight, Math.ceil(y1)))];
  }

  /** Return the size of that region in the window: how many values it is worth asking for. */
  size() {
    const [x0, y0, x1, y1] = this.region();
    return [x1 - x0, y1 - y0].map((length) => Math.min(MOST_VALUES, Math.max(1, Math.round(length * this.scale))));
  }
}
