// From where one looks at the graph: pan, zoom and fit of `scene`, a <g> in `svg`; by pointer, wheel and fingers.
// Wheel and finger belong to the page until the graph has the focus, or Ctrl or Cmd is held.
class GraphCamera {
  constructor(svg, scene, changed, ignored) {
    this.svg = svg;
    this.scene = scene;
    this.changed = changed; // the scene is seen at another place or size
    this.ignored = ignored; // somebody turned the wheel, and the page took it
    this.bounds = {x: 0, y: 0, width: 1, height: 1};
    this.x = this.y = 0;
    this.scale = 1;
    this.fitted = true; // as long as nobody moved it: then it fits in any size
    this.dragged = false; // whether what ends in a click was a drag
    this.pointers = new Map();
    for (const [event, take] of [["wheel", this.wheel], ["pointerdown", this.down], ["pointermove", this.move],
      ["pointerup", this.up], ["pointercancel", this.up]]) {
      svg.addEventListener(event, take.bind(this), {passive: false});
    }
    this.sizes = new ResizeObserver(() => (this.fitted ? this.fit() : this.apply()));
    this.sizes.observe(svg);
  }

  get size() {
    return {width: this.svg.clientWidth, height: this.svg.clientHeight};
  }

  fit() {
    const {width, height} = this.size, bounds = this.bounds;
    this.fitted = true;
    if (!width || !height) return;
    this.scale = Math.min(1, width / bounds.width, height / bounds.height);
    this.x = (width - bounds.width * this.scale) / 2 - bounds.x * this.scale;
    this.y = (height - bounds.height * this.scale) / 2 - bounds.y * this.scale;
    this.apply();
  }

  // Zoom about a point of the drawing, its middle if none is given.
  zoom(factor, x = this.size.width / 2, y = this.size.height / 2) {
    const least = Math.min(1, this.size.width / this.bounds.width, this.size.height / this.bounds.height) / 2;
    const scale = Math.min(4, Math.max(least, this.scale * factor));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.apply();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.fitted = false;
    this.apply();
  }

  // Move as little as brings a box into sight, if it is not.
  reveal(x, y, width, height) {
    const {width: right, height: bottom} = this.size, room = 24;
    const move = (low, high, end) => {
      if (low >= 0 && high <= end) return 0;
      return low < 0 ? room - low : Math.max(end - room - high, room - low);
    };
    const left = x * this.scale + this.x, top = y * this.scale + this.y;
    const along = move(left, left + width * this.scale, right), across = move(top, top + height * this.scale, bottom);
    if (along || across) this.pan(along, across);
  }

  // What can be seen, in the scene's own measure.
  get sight() {
    const {width, height} = this.size;
    const left = -this.x / this.scale, top = -this.y / this.scale;
    return {left, top, right: left + width / this.scale, bottom: top + height / this.scale};
  }

  apply() {
    const transform = `translate(${this.x} ${this.y}) scale(${this.scale})`;
    if (this.scene.getAttribute("transform") !== transform) this.scene.setAttribute("transform", transform);
    this.changed();
  }

  wheel(event) {
    const focused = this.svg.contains(document.activeElement);
    if (!event.ctrlKey && !event.metaKey && !focused) {
      this.ignored();
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const {x, y} = this.place(event);
    this.zoom(Math.exp((-event.deltaY * lines) / (event.ctrlKey && Math.abs(event.deltaY) < 30 ? 100 : 400)), x, y);
  }

  down(event) {
    if (event.button !== 0) return;
    if (!this.pointers.size) this.dragged = false;
    this.pointers.set(event.pointerId, this.place(event));
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.place(event);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (!this.dragged && !other && Math.hypot(now.x - before.x, now.y - before.y) < 4) return;
    if (!this.dragged) this.svg.setPointerCapture(event.pointerId);
    this.dragged = true;
    this.pointers.set(event.pointerId, now);
    if (other) {
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      this.zoom(distance(now) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
      this.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else {
      this.pan(now.x - before.x, now.y - before.y);
    }
  }

  up(event) {
    this.pointers.delete(event.pointerId);
  }

  place(event) {
    const {left, top} = this.svg.getBoundingClientRect();
    return {x: event.clientX - left, y: event.clientY - top};
  }

  close() {
    this.sizes.disconnect();
  }
}
