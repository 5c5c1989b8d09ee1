// What all drawings share: the copy of the run that the page holds, elements, words, badges.
// The files of this folder are joined into one ES module (module.py), with STATUSES in front. Texts of tasks and
// agents reach the document through textContent and setAttribute alone.

const SVG = "http://www.w3.org/2000/svg";

// An element: element("td", {class: "x", onclick: f}, "text", child, ...).
function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// Set an attribute, or the text, where it is another one than before; `say` tells whether it was.
function put(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

function say(node, text) {
  if (node.textContent === text) return false;
  node.textContent = text;
  return true;
}

const MODULE = Math.random().toString(36).slice(2); // a page may hold several, of several kernels
let ids = 0;

function uniqueId() {
  return `o-${MODULE}-${ids++}`;
}

// The sign of a status: its shape and its mark, for those who do not see its colour.
function badge(status) {
  const look = STATUSES[status] || STATUSES[""];
  const sign = shape("svg", {class: `o-badge s-${status || "plain"}`, viewBox: "0 0 16 16", "aria-hidden": "true"});
  if (look.shape) {
    sign.append(shape("path", {class: "o-badge-shape", d: look.shape}));
    sign.append(shape("path", {class: look.mark.endsWith("Z") ? "o-badge-mark o-full" : "o-badge-mark", d: look.mark}));
  }
  return sign;
}

function statusName(status) {
  return (STATUSES[status] || STATUSES[""]).name;
}

// 1.2s, 7s, 45s, 2m 05s, 1h 02m.
function duration(seconds) {
  if (seconds < 0.05) return "<0.1s";
  if (seconds < 9.95) return `${seconds.toFixed(1).replace(".0", "")}s`;
  const whole = Math.round(seconds), pad = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${pad(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${pad(Math.floor((whole % 3600) / 60))}m`;
}

// The channels of each notebook's models, by pane: what several panes are told arrives in a message to one of them.
const channels = new WeakMap();

// The page's side of a Pane: takes its snapshot and its numbered messages in turn, asks for all when one is missing.
// `take(message)` is called with {type: "whole", ...} first, and at every change afterwards.
class Channel {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.page = uniqueId();
    this.ahead = 0; // seconds by which the kernel's clock is ahead of the page's
    this.asking = false;
    this.received = (message, buffers) => this.receive(message, buffers);
    this.renewed = () => this.renew();
    model.on("msg:custom", this.received);
    model.on("change:snapshot", this.renewed);
    this.load(model.get("snapshot"));
    this.manager = model.widget_manager ?? model;
    if (!channels.has(this.manager)) channels.set(this.manager, new Map());
    this.others = channels.get(this.manager);
    this.others.set(this.data.pane, this);
  }

  // Bring every view that is open, and is opened later, up to date: view.whole(data), view.take(message).
  add(view) {
    this.views.add(view);
    view.whole(this.data);
    this.report();
    return () => {
      this.views.delete(view);
      this.report();
    };
  }

  // Say how many views this page shows, and whether other widgets can be told through it.
  report() {
    const carries = typeof this.manager.get_model === "function";
    this.tell({type: "view", page: this.page, views: this.views.size, number: this.number, carries});
  }

  tell(message) {
    try {
      this.model.send(message);
    } catch {
      // The kernel is gone: what is shown stays.
    }
  }

  now() {
    return Date.now() / 1000 + this.ahead;
  }

  load(bytes) {
    this.data = JSON.parse(new TextDecoder().decode(bytes));
    this.number = this.data.number;
    this.ahead = this.data.now - Date.now() / 1000;
    this.asking = false;
    for (const view of this.views) view.whole(this.data);
  }

  // The connection to the kernel was lost and is there again: JupyterLab has asked for all states.
  renew() {
    this.load(this.model.get("snapshot"));
    this.report();
  }

  receive(message, buffers) {
    if (message.type === "roll") {
      this.report();
    } else if (message.type === "together") {
      for (const told of message.messages) this.others.get(told.pane)?.receive(told);
      this.set(message.widgets);
    } else if (message.type === "whole") {
      this.load(buffers[0]);
      this.set(message.widgets);
    } else if (message.number === this.number + 1) {
      this.number = message.number;
      this.ahead = message.now - Date.now() / 1000;
      this.store?.(this.data, message); // keeps the copy true for views that are opened later
      for (const view of this.views) view.take(message);
    } else if (message.number > this.number && !this.asking) {
      this.asking = true;
      this.tell({type: "sync"});
    }
  }

  // Set the state of other widgets, each in turn with what it is told itself.
  set(widgets) {
    const told = async (id, state) => {
      const model = await this.manager.get_model(id);
      model.state_change = Promise.resolve(model.state_change).then(() => model.set_state(state));
    };
    for (const [id, state] of Object.entries(widgets ?? {})) told(id, state).catch(() => {}); // it may be closed here
  }

  close() {
    this.others.delete(this.data.pane);
    this.model.off("msg:custom", this.received);
    this.model.off("change:snapshot", this.renewed);
  }
}
