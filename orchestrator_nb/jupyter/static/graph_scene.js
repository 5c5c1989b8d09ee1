// The drawing of a picture (graph.py): bands, lines, boxes, and what is written in them. Boxes and lines of all tasks
// are always there; badges and words only of those in sight, once they can be told apart and read.
const STATUS_NAMES = Object.keys(STATUSES); // a status on the wire is a position here
const PLAIN_CODE = STATUS_NAMES.indexOf("");
const BOX_CLASSES = STATUS_NAMES.map((name) => {
  return `o-node s-${name || "plain"}${STATUSES[name].dashed ? " o-dashed" : ""}`;
});
// Pixels of height from which words can be read, and badges told apart.
const READABLE = 6.2;
const TELLABLE = 7;
// Statuses that are marked even from far away, and most of such marks.
const LANDMARKS = ["failed", "awaiting_approval", "awaiting_quota", "awaiting_review", "retrying"];
const MOST_LANDMARKS = 150;

class GraphScene {
  constructor() {
    this.layers = {};
    for (const name of ["bands", "lines", "boxes", "rings", "details"]) {
      this.layers[name] = shape("g", {class: `o-graph-${name}`, role: "none"});
    }
    this.node = shape("g", {role: "none"}, ...Object.values(this.layers));
    this.level = "";
  }

  // Begin anew, with nothing but the bands: from here on `bounds` tells how far the whole reaches.
  // `codes` are the nodes' statuses, `groups` the counts by status of those that are groups.
  begin(picture, codes, groups) {
    Object.assign(this, {picture, codes, groups, details: new Map(), pieces: null, edges: null, level: ""});
    for (const layer of Object.values(this.layers)) layer.replaceChildren();
    this.drawBands();
  }

  // Draw the rest. What it looks like at which level must be settled before: styling thousands of boxes takes a while.
  draw() {
    this.drawBoxes();
    this.drawLines();
    this.ring = {};
    this.layers.rings.replaceChildren(...this.picture.critical.map((node) => this.frame(node, 3, "o-ring")));
    for (const name of ["selected", "active"]) {
      this.ring[name] = shape("rect", {class: `o-${name}-ring`, visibility: "hidden"});
      this.layers.rings.append(this.ring[name]);
    }
  }

  drawBoxes() {
    const {boxes, ids} = this.picture, parts = new Array(ids.length);
    for (let node = 0, at = 0; node < ids.length; node += 1, at += 4) { // numbers and our own words, nothing else
      const code = this.codes[node];
      parts[node] =
        `<rect class="${BOX_CLASSES[code]}" data-status="${STATUS_NAMES[code]}" data-node="${node}" role="option" ` +
        `x="${boxes[at]}" y="${boxes[at + 1]}" width="${boxes[at + 2]}" height="${boxes[at + 3]}" rx="6"/>`;
    }
    this.layers.boxes.innerHTML = parts.join("");
    this.rects = [...this.layers.boxes.children];
    for (let node = 0; node < ids.length; node += 1) {
      this.rects[node].setAttribute(this.groups.has(node) ? "data-group" : "data-task", ids[node]);
    }
    this.layers.boxes.prepend(...[...this.groups.keys()].map((node) => {
      const {x, y, width, height} = this.box(node);
      return shape("rect", {class: "o-node-behind", x: x + 4, y: y + 4, width, height, rx: 6});
    }));
  }

  drawLines() {
    this.lines = this.picture.lines.map(({kind, d}) => shape("path", {class: `o-line o-line-${kind || "data"}`, d}));
    this.heads = ["o-head", "o-head o-head-path"].map((name) => shape("path", {class: name}));
    this.touched = shape("path", {class: "o-line o-line-touched"});
    this.layers.lines.replaceChildren(...this.lines, ...this.heads, this.touched);
    this.headed = false;
  }

  // The phases behind the boxes; and how far the whole reaches.
  drawBands() {
    const {bands, width, height, down} = this.picture;
    const column = 30 + 6.5 * Math.max(0, ...bands.map(([name]) => Math.min(22, name.length)));
    const before = bands.length ? (down ? column : 26) : 0;
    this.layers.bands.replaceChildren(...bands.flatMap(([name, start, end]) => {
      const from = start - 10, length = end - start + 20;
      const place = down
        ? {x: -before, y: from, width: width + before + 10, height: length}
        : {x: from, y: -before, width: length, height: height + before + 10};
      const text = shape("text", {class: "o-band-name", x: place.x + 8, y: down ? from + 18 : -10});
      text.textContent = name;
      return [shape("rect", {class: "o-band", ...place, rx: 8}), text];
    }));
    const left = 12 + (down ? before : 8), top = 12 + (down ? 8 : before);
    this.bounds = {x: -left, y: -top, width: width + left + 22, height: height + top + 22};
    this.column = down ? column : 0;
  }

  box(node) {
    const [x, y, width, height] = this.picture.boxes.slice(4 * node, 4 * node + 4);
    return {x, y, width, height};
  }

  frame(node, grow, name) {
    const {x, y, width, height} = this.box(node);
    return shape("rect", {
      class: name, x: x - grow, y: y - grow, width: width + 2 * grow, height: height + 2 * grow, rx: 6 + grow,
    });
  }

  neighbours(node) {
    if (!this.edges) {
      this.edges = this.picture.ids.map(() => ({before: [], after: []}));
      for (const {ends} of this.picture.lines) {
        for (let at = 0; at < ends.length; at += 2) {
          this.edges[ends[at]].after.push(ends[at + 1]);
          this.edges[ends[at + 1]].before.push(ends[at]);
        }
      }
    }
    return this.edges[node];
  }

  // The node one step on: along a line where one leads there, else the nearest box in that direction.
  next(from, right, down) {
    const middle = (node) => {
      const {x, y, width, height} = this.box(node);
      return [x + width / 2, y + height / 2];
    };
    const [x, y] = middle(from), along = this.picture.down ? down : right;
    const {before, after} = this.neighbours(from);
    const linked = along > 0 ? after : along < 0 ? before : [];
    const candidates = linked.length ? linked : this.picture.ids.keys();
    let best = from, least = Infinity;
    for (const node of candidates) {
      const [to, at] = middle(node), ahead = (to - x) * right + (at - y) * down;
      if (node === from || ahead <= 1) continue;
      const aside = Math.abs((to - x) * down) + Math.abs((at - y) * right);
      const far = linked.length ? aside : ahead + 3 * aside;
      if (far < least) [best, least] = [node, far];
    }
    return best;
  }

  // Put a frame around a node, or (-1) around none: "selected", "active".
  mark(name, node) {
    const ring = this.ring[name];
    ring.setAttribute("visibility", node < 0 ? "hidden" : "visible");
    if (node < 0) return;
    const grown = this.frame(node, name === "active" ? 6 : 4, "");
    for (const side of ["x", "y", "width", "height", "rx"]) ring.setAttribute(side, grown.getAttribute(side));
  }

  // Make the lines from and to a node stand out.
  touch(node) {
    const {lines} = this.picture;
    this.pieces ||= lines.map(({d}) => d.split("M")); // the first is empty
    const parts = [];
    if (node >= 0) {
      lines.forEach(({ends}, kind) => {
        for (let edge = 0; edge < ends.length / 2; edge += 1) {
          if (ends[2 * edge] === node || ends[2 * edge + 1] === node) parts.push(`M${this.pieces[kind][edge + 1]}`);
        }
      });
    }
    this.touched.setAttribute("d", parts.join(""));
  }

  setStatus(node, code) {
    this.codes[node] = code;
    const rect = this.rects[node];
    rect.setAttribute("class", BOX_CLASSES[code]);
    rect.setAttribute("data-status", STATUS_NAMES[code]);
    this.renew(node);
  }

  // What is written in a box has changed.
  renew(node) {
    const seen = this.details.get(node);
    seen?.remove();
    this.details.delete(node);
    if (this.level === "far" ? LANDMARKS.includes(STATUS_NAMES[this.codes[node]]) : seen) this.addDetail(node);
  }

  // How much can be told at this scale: "near", "mid" or "far".
  levelAt(scale) {
    const {metrics} = this.picture;
    if (metrics.font * scale >= READABLE) return "near";
    return (metrics.line + 2 * metrics.pad) * scale >= TELLABLE ? "mid" : "far";
  }

  // Draw what can be told at this scale, of what is in sight.
  look(scale, sight) {
    const {boxes, ids} = this.picture, level = this.levelAt(scale);
    if (level !== this.level || (level === "far" && scale !== this.scale)) {
      this.details.clear();
      this.layers.details.replaceChildren();
    }
    const thin = scale !== this.scale || level !== this.level;
    Object.assign(this, {level, scale});
    if (thin) this.thin(scale);
    if (level === "far") {
      if (!this.details.size) this.drawLandmarks();
      return;
    }
    this.drawHeads();
    const fresh = [];
    for (let node = 0, at = 0; node < ids.length; node += 1, at += 4) {
      const seen = boxes[at] < sight.right && boxes[at] + boxes[at + 2] > sight.left &&
        boxes[at + 1] < sight.bottom && boxes[at + 1] + boxes[at + 3] > sight.top;
      const detail = this.details.get(node);
      if (seen && !detail) {
        const made = this.detail(node);
        this.details.set(node, made);
        fresh.push(made);
      } else if (!seen && detail) {
        detail.remove();
        this.details.delete(node);
      }
    }
    this.layers.details.append(...fresh);
  }

  // From far away the signs of what people look for, in a size that can be told.
  drawLandmarks() {
    this.codes.forEach((code, node) => {
      if (LANDMARKS.includes(STATUS_NAMES[code]) && this.details.size < MOST_LANDMARKS) this.addDetail(node);
    });
  }

  addDetail(node) {
    const detail = this.detail(node);
    this.details.set(node, detail);
    this.layers.details.append(detail);
  }

  // Lines and names of phases keep a size that can be seen.
  thin(scale) {
    const width = Math.max(1.2, (this.picture.ids.length > 3000 ? 0.25 : 0.5) / scale);
    for (const line of this.lines) {
      line.setAttribute("stroke-width", line.classList.contains("o-line-path") ? Math.max(2.4, 1.5 / scale) : width);
    }
    this.touched.setAttribute("stroke-width", Math.max(2.2, 1.5 / scale));
    for (const ring of Object.values(this.ring)) ring.setAttribute("stroke-width", Math.max(2, 2 / scale));
    const size = Math.max(11, 11 / scale);
    const texts = this.layers.bands.querySelectorAll("text");
    this.picture.bands.forEach(([name, start, end], at) => {
      const room = (this.column || end - start + 4) * scale;
      texts[at].setAttribute("font-size", size);
      texts[at].setAttribute("visibility", name.length * 6.5 * Math.max(1, scale) > room ? "hidden" : "visible");
    });
  }

  // An arrow at the box of each target: all lines arrive at the middle of one side.
  drawHeads() {
    if (this.headed) return;
    this.headed = true;
    const {down, lines, critical} = this.picture;
    const head = (node) => {
      const {x, y, width, height} = this.box(node);
      return down ? `M${x + width / 2} ${y}l-4-7h8z` : `M${x} ${y + height / 2}l-7-4v8z`;
    };
    const targets = new Set(lines.flatMap(({ends}) => ends.filter((_, at) => at % 2)));
    this.heads[0].setAttribute("d", [...targets].map(head).join(""));
    this.heads[1].setAttribute("d", critical.slice(1).map(head).join(""));
  }

  detail(node) {
    const {metrics, labels, captions} = this.picture, code = this.codes[node];
    const {x, y, width, height} = this.box(node);
    const group = shape("g", {transform: `translate(${x} ${y})`});
    const counts = this.groups.get(node);
    if (this.level === "far") {
      const size = Math.max(height, 10 / this.scale);
      group.append(this.sign(code, (width - size) / 2, (height - size) / 2, size));
      return group;
    }
    if (this.level === "mid") {
      if (code !== PLAIN_CODE) group.append(this.sign(code, (width - height + 4) / 2, 2, height - 4));
      return group;
    }
    const label = labels[node], caption = counts ? [this.done(counts)] : captions[node] || [];
    const below = label.length * metrics.line;
    const top = Math.floor((height - below - caption.length * metrics.caption_line - (counts ? 12 : 0)) / 2);
    let left = metrics.pad;
    if (code !== PLAIN_CODE) {
      group.append(this.sign(code, left, top + (metrics.line - metrics.badge) / 2, metrics.badge));
      left += metrics.badge + metrics.space;
    }
    const write = (name, size, line, lineHeight, from) => {
      const text = shape("text", {class: name, x: left, y: from + Math.floor(lineHeight * 0.75), "font-size": size});
      text.textContent = line;
      group.append(text);
    };
    label.forEach((line, at) => write("o-label", metrics.font, line, metrics.line, top + at * metrics.line));
    caption.forEach((line, at) => {
      write("o-caption", metrics.caption, line, metrics.caption_line, top + below + at * metrics.caption_line);
    });
    if (counts) {
      group.append(...this.bar(counts, metrics.pad, top + below + metrics.caption_line + 6, width - 2 * metrics.pad));
    }
    return group;
  }

  // The sign of a status, `size` wide.
  sign(code, x, y, size) {
    const look = STATUSES[STATUS_NAMES[code]];
    return shape(
      "g", {class: `s-${STATUS_NAMES[code]}`, transform: `translate(${x} ${y}) scale(${size / 16})`},
      shape("path", {class: "o-badge-shape", d: look.shape}),
      shape("path", {class: look.mark.endsWith("Z") ? "o-badge-mark o-full" : "o-badge-mark", d: look.mark}),
    );
  }

  // How far a group is, in words that fit its box: its bar tells the rest.
  done(counts) {
    const total = counts.reduce((sum, count) => sum + count, 0);
    if (counts[PLAIN_CODE] === total) return tasksIn(total);
    const failed = counts[STATUS_NAMES.indexOf("failed")];
    return `${counts[STATUS_NAMES.indexOf("completed")]} of ${total}${failed ? `, ${failed} failed` : ""}`;
  }

  // A group's tasks by status, as shares of a bar.
  bar(counts, x, y, width) {
    const total = counts.reduce((sum, count) => sum + count, 0), parts = [];
    let before = 0;
    for (const code of this.picture.shares) {
      if (!counts[code]) continue;
      const share = (width * counts[code]) / total;
      const name = `o-share s-${STATUS_NAMES[code] || "plain"}`;
      parts.push(shape("rect", {class: name, x: x + before, y, width: share, height: 6}));
      before += share;
    }
    return parts;
  }
}

function tasksIn(number) {
  return `${number.toLocaleString("en")} ${number === 1 ? "task" : "tasks"}`;
}

// What is said of a task under the pointer or with the focus. In the page's top layer, so that no cell cuts it off.
class GraphTip {
  constructor(parent) {
    this.node = element("div", {class: "o-tip", role: "tooltip", popover: "manual"});
    parent.append(this.node);
  }

  show(anchor, ...content) {
    this.node.replaceChildren(...content);
    if (this.node.showPopover && !this.node.matches(":popover-open")) this.node.showPopover();
    this.node.classList.add("o-open");
    const at = anchor.getBoundingClientRect(), own = this.node.getBoundingClientRect();
    const below = at.bottom + 6 + own.height <= window.innerHeight;
    const top = below ? at.bottom + 6 : Math.max(4, at.top - 6 - own.height);
    const left = Math.max(4, Math.min(at.left + at.width / 2 - own.width / 2, window.innerWidth - own.width - 4));
    this.node.style.top = `${top}px`;
    this.node.style.left = `${left}px`;
  }

  hide() {
    if (!this.node.classList.contains("o-open")) return;
    this.node.classList.remove("o-open");
    if (this.node.hidePopover && this.node.matches(":popover-open")) this.node.hidePopover();
  }
}
