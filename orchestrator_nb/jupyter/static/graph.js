// The graph of the tasks: what its parts show, and what pointer and keys do. A status that changes touches one box, its
// badge and the legend, and nothing else.
const OVER = ["completed", "failed", "blocked", "skipped", "cancelled"].map((name) => STATUS_NAMES.indexOf(name));
const STEPS = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]};
const ENDS = ["completed", "failed", "stopped", "halted", "error", "interrupted"];
const HINT = "Click the graph, or hold Ctrl, to zoom with the wheel";
const KEYS = "Arrow keys: along the lines. Enter: show the output. +, −, 0: zoom. Escape: leave the task.";
const MANY = 3000; // nodes
let graphs = 0;

class GraphView {
  // Keep `data`, the page's copy, true to `message`.
  static store(data, message) {
    if (message.type !== "rows") return;
    for (let at = 0; at < message.rows.length; at += 2) data.statuses[message.rows[at]] = message.rows[at + 1];
    data.run = message.run;
    data.selected = message.selected;
  }

  constructor(el, channel) {
    this.channel = channel;
    this.prefix = `o-graph-${(graphs += 1)}-`;
    this.active = this.selected = -1; // the node with the focus, and the one that is looked at in all parts
    this.scene = new GraphScene();
    this.build(el);
    this.camera = new GraphCamera(this.svg, this.scene.node, () => this.look(), () => this.hint());
    this.tip = new GraphTip(this.root);
    this.sizes = new ResizeObserver(() => this.suit());
    this.sizes.observe(this.root);
    this.listen();
  }

  build(el) {
    const button = (text, title, act, more = {}) => {
      return element("button", {type: "button", class: "o-button", title, onclick: act, ...more}, text);
    };
    const pressed = {"aria-pressed": "true"};
    this.pathButton = button("Critical path", "Show the longest chain of tasks", () => this.togglePath(), pressed);
    this.groupButton = button("Groups", "Show tasks by group", () => this.toggleGroups(), pressed);
    this.closeButton = button("Close groups", "Show the open groups as boxes again", () => this.collapse(true));
    this.heading = element("span", {class: "o-graph-title"});
    const bar = element(
      "div", {class: "o-graph-bar", role: "toolbar", "aria-label": "Graph"}, this.heading,
      this.closeButton, this.groupButton, this.pathButton,
      button("−", "Zoom out (−)", () => this.camera.zoom(1 / 1.3), {"aria-label": "Zoom out"}),
      button("+", "Zoom in (+)", () => this.camera.zoom(1.3), {"aria-label": "Zoom in"}),
      button("Fit", "Show all (0)", () => this.camera.fit()),
    );
    const keys = element("span", {class: "o-spoken", id: `${this.prefix}keys`}, KEYS);
    this.svg = shape("svg", {
      class: "o-graph-svg", role: "listbox", tabindex: 0, "aria-describedby": keys.id,
    }, this.scene.node);
    this.hinted = element("div", {class: "o-graph-hint", "aria-hidden": "true"}, HINT);
    this.canvas = element("div", {class: "o-graph-canvas"}, this.svg, this.hinted);
    this.legend = element("div", {class: "o-graph-legend", role: "list", "aria-label": "Legend"});
    this.spoken = element("div", {class: "o-spoken", role: "status", "aria-live": "polite"});
    // JupyterLab must not take the keys for its own: to it, 0 twice means to restart the kernel.
    this.root = element("div", {class: "o-graph o-critical", "data-lm-suppress-shortcuts": true}, bar, this.canvas, this.legend, keys, this.spoken);
    el.append(this.root);
  }

  listen() {
    const under = (event) => Number(event.target.dataset?.node ?? -1);
    const on = (event, take) => this.svg.addEventListener(event, take);
    on("click", (event) => {
      if (this.camera.dragged) return;
      this.svg.focus({preventScroll: true});
      if (under(event) >= 0) this.choose(under(event));
    });
    on("dblclick", (event) => (under(event) < 0 ? this.camera.fit() : this.open(under(event))));
    on("pointerover", (event) => this.hover(under(event)));
    on("pointerleave", () => this.hover(-1));
    on("pointerdown", () => this.explain(-1));
    on("keydown", (event) => this.key(event));
    on("focus", () => {
      if (this.svg.matches(":focus-visible")) this.activate(this.active < 0 ? this.first() : this.active);
    });
    on("blur", () => {
      this.scene.mark("active", -1);
      this.explain(-1);
    });
  }

  // -- what is shown -------------------------------------------------------------------------------------------------

  whole(data) {
    const active = this.picture?.ids[this.active];
    const {picture} = data;
    Object.assign(this, {picture, statuses: data.statuses.slice(), run: data.run});
    this.nodes = picture.units || picture.ids.map((_, node) => node); // of each task
    this.groups = new Map(picture.groups.map((node) => [node, STATUS_NAMES.map(() => 0)])); // tasks by status
    this.totals = STATUS_NAMES.map(() => 0);
    const codes = new Array(picture.ids.length).fill(PLAIN_CODE);
    this.statuses.forEach((code, task) => {
      const group = this.groups.get(this.nodes[task]);
      this.totals[code] += 1;
      if (group) group[code] += 1;
      else codes[this.nodes[task]] = code;
    });
    for (const [node, counts] of this.groups) codes[node] = this.codeOf(counts);
    this.places = new Map(picture.ids.map((id, node) => [id, node]));
    this.active = this.places.get(active) ?? -1;
    this.hovered = -1;
    this.arrange();
    this.drawn = false;
    this.scene.begin(picture, codes, this.groups);
    this.camera.bounds = this.scene.bounds;
    this.suit();
    this.root.dataset.level = this.scene.levelAt(this.camera.scale);
    this.scene.draw();
    this.drawn = true;
    this.look();
    this.select(data.selected);
    this.svg.removeAttribute("aria-activedescendant");
    this.activate(this.active, !this.svg.matches(":focus-visible"));
    this.count();
    this.describeAll();
  }

  // Titles and buttons.
  arrange() {
    const {title, critical, collapsed, opened} = this.picture;
    this.heading.textContent = title;
    this.svg.setAttribute("aria-label", `Graph of ${title}: ${tasksIn(this.statuses.length)}`);
    this.pathButton.hidden = !critical.length;
    this.groupButton.hidden = !collapsed && this.statuses.length < 30;
    this.groupButton.setAttribute("aria-pressed", String(collapsed));
    this.closeButton.hidden = !opened;
  }

  // As high as the graph needs in this width, unless somebody gave it another height.
  suit() {
    const own = this.canvas.style.height, room = this.canvas.clientWidth;
    if (!this.picture || !room || (own && own !== this.suited)) return;
    const {width, height} = this.camera.bounds;
    const needed = Math.round(Math.min(560, Math.max(120, height * Math.min(1, room / width))));
    this.suited = this.canvas.style.height = `${needed}px`;
    if (this.camera.fitted) this.camera.fit();
  }

  // The status of a group is the foremost of its tasks'.
  codeOf(counts) {
    return this.picture.foremost.find((code) => counts[code]) ?? PLAIN_CODE;
  }

  take(message) {
    if (message.type === "why") this.answer(message);
    if (message.type !== "rows") return;
    const {rows} = message, changed = new Set();
    for (let at = 0; at < rows.length; at += 2) this.change(rows[at], rows[at + 1], changed);
    for (const node of changed) {
      if (this.groups.has(node)) this.scene.setStatus(node, this.codeOf(this.groups.get(node)));
      this.describe(node);
    }
    if (changed.size) this.count();
    if (changed.has(this.explained)) this.explain(this.explained);
    if (message.selected !== (this.picture.ids[this.selected] ?? "")) this.select(message.selected);
    const watched = this.active >= 0 ? this.active : this.selected;
    const over = message.run !== this.run && ENDS.includes(message.run);
    if (over) this.say(`Run ${message.run}: ${this.inWords(this.totals)}`);
    else if (changed.has(watched)) this.say(`${this.nameOf(watched)}: ${this.statusOf(watched)}`);
    this.run = message.run;
  }

  change(task, code, changed) {
    const before = this.statuses[task], node = this.nodes[task], group = this.groups.get(node);
    if (before === undefined || before === code) return;
    this.statuses[task] = code;
    this.totals[before] -= 1;
    this.totals[code] += 1;
    if (group) {
      group[before] -= 1;
      group[code] += 1;
    } else {
      this.scene.setStatus(node, code);
    }
    changed.add(node);
  }

  look() {
    if (!this.drawn) return;
    if (this.statuses.length > MANY && this.root.dataset.level === "far") this.spareLines();
    this.scene.look(this.camera.scale, this.camera.sight);
    if (this.root.dataset.level !== this.scene.level) this.root.dataset.level = this.scene.level;
    this.explain(-1);
  }

  // Thousands of lines take longer to draw than a picture may last while somebody moves it.
  spareLines() {
    this.root.classList.toggle("o-moving", !this.camera.fitted);
    clearTimeout(this.moving);
    this.moving = setTimeout(() => this.root.classList.remove("o-moving"), 150);
  }

  // The legend, with how many there are.
  count() {
    const entry = (sample, text) => element("span", {class: "o-graph-entry", role: "listitem"}, sample, text);
    const entries = this.totals.flatMap((total, code) => {
      if (!total || (code === PLAIN_CODE && total === this.statuses.length)) return [];
      return [entry(badge(STATUS_NAMES[code]), `${statusName(STATUS_NAMES[code])} ${total.toLocaleString("en")}`)];
    });
    if (!entries.length) entries.push(entry("", tasksIn(this.statuses.length)));
    const line = (name, text) => entries.push(entry(element("i", {class: `o-graph-sample ${name}`}), text));
    if (this.picture.critical.length) line("o-path", "Critical path");
    if (this.picture.lines.some(({kind}) => kind === "order")) line("o-order", "Order only");
    this.legend.replaceChildren(...entries);
  }

  hint() {
    this.hinted.classList.add("o-open");
    clearTimeout(this.hinting);
    this.hinting = setTimeout(() => this.hinted.classList.remove("o-open"), 1600);
  }

  togglePath() {
    const on = this.root.classList.toggle("o-critical");
    this.pathButton.setAttribute("aria-pressed", String(on));
  }

  toggleGroups() {
    this.collapse(!this.picture.collapsed);
  }

  collapse(on) {
    this.camera.fitted = true;
    this.channel.tell({type: "collapse", on});
  }

  // -- one node ------------------------------------------------------------------------------------------------------

  statusOf(node) {
    return STATUS_NAMES[this.scene.codes[node]] ? statusName(STATUS_NAMES[this.scene.codes[node]]).toLowerCase() : "";
  }

  titleOf(node) {
    return this.picture.titles[node] ?? this.picture.labels[node].join(" ");
  }

  nameOf(node) {
    const id = this.picture.ids[node], title = this.titleOf(node);
    return title === id || this.groups.has(node) ? title : `${id} ${title}`;
  }

  factOf(node) {
    return this.picture.facts[this.picture.fact[node]];
  }

  inWords(counts) {
    const parts = counts.map((count, code) => `${count} ${statusName(STATUS_NAMES[code]).toLowerCase()}`);
    return parts.filter((_, code) => counts[code] && code !== PLAIN_CODE).join(", ");
  }

  // What a node is, for those who hear it.
  labelOf(node) {
    const counts = this.groups.get(node);
    if (counts) {
      const total = counts.reduce((sum, count) => sum + count, 0);
      return ["Group", this.titleOf(node), tasksIn(total), this.inWords(counts)].filter(Boolean).join(", ");
    }
    const parts = [this.nameOf(node), this.statusOf(node), this.factOf(node).replaceAll(" · ", ", ")];
    const awaited = this.scene.neighbours(node).before.filter((parent) => !OVER.includes(this.scene.codes[parent]));
    if (awaited.length && !OVER.includes(this.scene.codes[node])) {
      const names = awaited.sort((one, other) => one - other).slice(0, 5).map((parent) => this.picture.ids[parent]).join(", ");
      parts.push(`waits for ${names}${awaited.length > 5 ? ` and ${awaited.length - 5} more` : ""}`);
    }
    return parts.filter(Boolean).join(", ");
  }

  describe(node) {
    this.scene.rects[node].setAttribute("aria-label", this.labelOf(node));
  }

  // After the first paint: nobody can hear so soon.
  describeAll() {
    const {picture} = this, soon = window.requestIdleCallback || setTimeout;
    soon(() => {
      if (picture === this.picture) for (let node = 0; node < picture.ids.length; node += 1) this.describe(node);
    });
  }

  say(text) {
    this.spoken.textContent = text;
  }

  // -- what people do ------------------------------------------------------------------------------------------------

  // Look at this task in all parts.
  select(id) {
    if (this.selected >= 0) this.scene.rects[this.selected]?.removeAttribute("aria-selected");
    this.selected = this.places.get(id) ?? -1;
    if (this.selected >= 0) this.scene.rects[this.selected].setAttribute("aria-selected", "true");
    this.scene.mark("selected", this.selected);
    this.scene.touch(this.selected);
  }

  choose(node) {
    this.activate(node, true);
    if (this.groups.has(node)) return;
    this.select(this.picture.ids[node]);
    this.channel.tell({type: "select", task: this.picture.ids[node]});
  }

  // Show the tasks of a group in its place.
  open(node) {
    if (!this.groups.has(node)) return;
    this.camera.fitted = true;
    this.channel.tell({type: "open", group: this.picture.ids[node]});
  }

  // Bring the focus to a node.
  activate(node, quietly = false) {
    if (node < 0) return;
    const rect = this.scene.rects[node], {x, y, width, height} = this.scene.box(node);
    this.active = node;
    rect.id = `${this.prefix}${node}`;
    this.describe(node);
    this.svg.setAttribute("aria-activedescendant", rect.id);
    this.scene.mark("active", quietly ? -1 : node);
    if (quietly) return;
    this.camera.reveal(x, y, width, height);
    this.scene.touch(node);
    this.explain(node);
  }

  first() {
    return this.picture.ids.length ? 0 : -1;
  }

  key(event) {
    const {key} = event, at = this.active;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key in STEPS) this.activate(at < 0 ? this.first() : this.scene.next(at, ...STEPS[key]));
    else if (key === "Home") this.activate(this.first());
    else if (key === "End") this.activate(this.picture.ids.length - 1);
    else if ((key === "Enter" || key === " ") && at >= 0) this.groups.has(at) ? this.open(at) : this.choose(at);
    else if (key === "+" || key === "=") this.camera.zoom(1.3);
    else if (key === "-") this.camera.zoom(1 / 1.3);
    else if (key === "0") this.camera.fit();
    else if (key === "Escape") this.explain(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  hover(node) {
    clearTimeout(this.hovering);
    if (node === this.hovered) return;
    this.hovered = node;
    if (node < 0) {
      this.explain(-1);
      this.scene.touch(this.selected);
    } else {
      this.hovering = setTimeout(() => {
        this.scene.touch(node);
        this.explain(node);
      }, 120);
    }
  }

  // -- what and why --------------------------------------------------------------------------------------------------

  // Say what is known of a node, and ask the kernel for the rest; with -1 say nothing any more.
  explain(node) {
    this.explained = node;
    if (node < 0) {
      this.tip.hide();
      return;
    }
    this.showTip(node);
    if (!this.groups.has(node)) this.channel.tell({type: "why", task: this.picture.ids[node]});
  }

  answer(message) {
    const node = this.places.get(message.task) ?? -1;
    if (node < 0) return;
    this.scene.rects[node].setAttribute("aria-description", message.sentences.join(" "));
    if (node === this.explained) this.showTip(node, message);
  }

  showTip(node, answer = {sentences: []}) {
    const name = STATUS_NAMES[this.scene.codes[node]], counts = this.groups.get(node);
    const line = (className, ...content) => element("div", {class: className}, ...content);
    const lines = [line("o-tip-title", this.nameOf(node))];
    if (counts) {
      lines.push(line("", this.inWords(counts)), line("o-tip-fact", "Double-click or press Enter to open"));
    } else {
      const attempt = answer.attempt > 1 ? `attempt ${answer.attempt}` : "";
      const status = [statusName(name), this.timeOf(name, answer), attempt].filter(Boolean).join(" · ");
      if (name) lines.push(line("", badge(name), ` ${status}`));
      lines.push(line("o-tip-fact", this.factOf(node)));
      lines.push(...answer.sentences.map((sentence) => line("", sentence)));
    }
    this.tip.show(this.scene.rects[node], ...lines.filter((made) => made.textContent.trim()));
  }

  timeOf(name, answer) {
    if (name === "running" && answer.since) return `for ${duration(Math.max(0, this.channel.now() - answer.since))}`;
    return answer.seconds != null && OVER.includes(STATUS_NAMES.indexOf(name)) ? duration(answer.seconds) : "";
  }

  close() {
    clearTimeout(this.hovering);
    clearTimeout(this.hinting);
    clearTimeout(this.moving);
    this.tip.hide();
    this.sizes.disconnect();
    this.camera.close();
  }
}
