// The plan as a table. Only the rows that are seen, and a few around them, are in the document.

const ROW_HEIGHT = 30; // height of a row in pixels, as in style.css
const ROWS_AROUND = 8; // rows drawn above and below those that are seen
const ROWS_FIRST = 10; // rows that are seen before anybody makes the table larger
const SETTLED = new Set(["completed", "failed", "blocked", "skipped", "cancelled"]);
const LIFE = Object.keys(STATUSES);

// key: what to sort by; live: whether that changes during a run. What has no key stands as the plan has it.
const COLUMNS = [
  {name: "agent", title: "Agent", key: (plan, i) => plan.tasks.agent[i]},
  {name: "task", title: "Task", key: (plan, i) => plan.tasks.id[i]},
  {name: "priority", title: "Priority", key: (plan, i) => plan.tasks.priority[i]},
  {name: "status", title: "Status", key: (plan, i) => LIFE.indexOf(plan.rows[i].status), live: true},
  {name: "progress", title: "Progress", key: (plan, i) => plan.share(i), live: true},
  {name: "duration", title: "Duration", key: (plan, i) => plan.spent(i), live: true},
  {name: "eta", title: "ETA", key: (plan, i) => plan.left(i), live: true},
  {name: "attempts", title: "Attempts", key: (plan, i) => plan.rows[i].attempt ?? 0, live: true},
  {name: "used", title: "Used", key: (plan, i) => plan.rows[i].tokens, live: true}, // seen once coding agents work
  {name: "waits", title: "Waits for"},
];

// What the page knows of the tasks, and what follows from it now.
class PlanCopy {
  constructor(data, channel) {
    this.data = data;
    this.now = () => channel.now();
  }

  get tasks() { return this.data.tasks; }
  get rows() { return this.data.rows; }
  get length() { return this.data.rows.length; }

  running(i) { return this.rows[i].status === "running"; }

  // Seconds of the last attempt, so far if it is running.
  spent(i) {
    const row = this.rows[i];
    return this.running(i) && row.started !== undefined ? Math.max(0, this.now() - row.started) : row.duration;
  }

  // Seconds that a running task should still take.
  left(i) {
    const row = this.rows[i], spent = this.spent(i);
    if (!this.running(i) || spent === undefined) return undefined;
    if (row.done && row.total) return (spent / row.done) * (row.total - row.done);
    const expected = row.expected ?? this.data.usual[this.tasks.kind[i]];
    return expected === undefined ? undefined : Math.max(0, expected - spent);
  }

  share(i) {
    const row = this.rows[i];
    if (row.status === "completed") return 1;
    return row.total ? row.done / row.total : 0;
  }

  // What the task waits for, fails of or tells.
  waits(i) {
    const row = this.rows[i];
    if (row.status === "waiting") return this.unsettled(i);
    if (row.status === "pending") return "its turn";
    if (row.status === "retrying" && row.again !== undefined) {
      const rest = row.again - this.now();
      return `${rest > 0 ? `again in ${duration(Math.ceil(rest))}` : "its turn again"}: ${row.note ?? ""}`;
    }
    if (row.status === "awaiting_quota" && row.again !== undefined) {
      const rest = row.again - this.now();
      return rest > 0 ? `${row.note} in ${duration(Math.ceil(rest))}` : `${row.note}: about to be tried`;
    }
    return row.note ?? "";
  }

  unsettled(i) {
    const open = this.tasks.parents[i].filter((parent) => !SETTLED.has(this.rows[parent].status));
    const named = open.slice(0, 5).map((parent) => this.tasks.id[parent]).join(", ");
    return open.length > 5 ? `${named} and ${(open.length - 5).toLocaleString("en")} more` : named;
  }

  agent(i) { return `Agent-${String(this.tasks.agent[i]).padStart(2, "0")}`; }

  // What the text filter looks at.
  words(i) {
    const {id, title, kind} = this.tasks;
    return `${id[i]}\n${title[i]}\n${this.agent(i)}\n${kind[i]}`.toLowerCase();
  }
}

class TableView {
  // Keep `data`, the page's copy, true to `message`.
  static store(data, message) {
    message.indices?.forEach((index, place) => { data.rows[index] = message.rows[place]; });
    if (message.usual) data.usual = message.usual;
    if (message.selected !== undefined) data.selected = message.selected;
  }

  constructor(el, channel) {
    this.channel = channel;
    this.shown = new Map(); // position in the plan -> TaskRow that is in the document
    this.order = []; // positions in the plan, as they are listed
    this.sorted = {column: null, down: false};
    this.cursor = -1; // position in the plan of the row that the keyboard is at
    this.arrangedAt = 0;
    el.append(this.build());
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.scroll);
  }

  build() {
    const changed = () => this.arrange();
    this.text = element("input", {type: "search", class: "o-field", placeholder: "Filter tasks", "aria-label": "Filter tasks by text", oninput: changed});
    this.status = element("select", {class: "o-field", "aria-label": "Filter tasks by status", onchange: changed});
    this.phase = element("select", {class: "o-field", "aria-label": "Filter tasks by phase", onchange: changed});
    this.count = element("span", {class: "o-muted", role: "status"});
    this.heads = COLUMNS.map((column) => this.head(column));
    this.above = element("tr", {"aria-hidden": "true"}, element("td"));
    this.below = this.above.cloneNode(true);
    this.body = element("tbody", {}, this.above, this.below);
    this.table = element("table", {class: "o-table", role: "grid", tabindex: 0, "aria-label": "Tasks of the plan"},
      element("thead", {}, element("tr", {"aria-rowindex": 1}, ...this.heads)), this.body);
    this.table.addEventListener("keydown", (event) => this.pressed(event));
    this.table.addEventListener("focus", () => { if (!this.lines?.has(this.cursor)) this.point(this.order[0] ?? -1); });
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.scroll = element("div", {class: "o-scroll", onscroll: () => this.draw()}, this.table);
    return element("div", {class: "o-plan"},
      element("div", {class: "o-bar"}, this.text, this.status, this.phase, this.count), this.scroll);
  }

  head(column) {
    const attributes = {class: `o-${column.name}`, scope: "col", role: "columnheader"};
    if (!column.key) return element("th", attributes, column.title);
    const sort = element("button", {type: "button", title: `Sort by ${column.title.toLowerCase()}`}, column.title);
    sort.addEventListener("click", () => this.sortBy(column));
    return element("th", {...attributes, "aria-sort": "none"}, sort);
  }

  // -- what the kernel tells ------------------------------------------------------------------------------------------

  whole(data) {
    const first = !this.plan;
    this.plan = new PlanCopy(data, this.channel);
    this.words = data.rows.map((_, i) => this.plan.words(i));
    this.places = new Map(data.tasks.id?.map((id, i) => [id, i]));
    this.cursor = this.places.get(data.selected) ?? -1;
    const phases = data.tasks.phases ?? [];
    this.phase.replaceChildren(element("option", {value: ""}, "All phases"), ...phases.map((title, place) => element("option", {value: place}, title)));
    this.phase.hidden = phases.length === 0;
    for (const row of this.shown.values()) row.tr.remove();
    this.shown.clear();
    if (!this.scroll.style.height) this.scroll.style.height = `${(Math.min(Math.max(data.rows.length, 1), ROWS_FIRST) + 1) * ROW_HEIGHT + 14}px`;
    this.arrange();
    if (first) this.reveal(this.cursor);
  }

  take(message) {
    if (message.selected !== undefined && message.selected !== this.told) this.point(this.places.get(message.selected) ?? -1);
    this.told = undefined;
    if (message.indices) this.arrangeSoon();
    this.draw();
  }

  // -- what is listed, and in which order -----------------------------------------------------------------------------

  // Rows move under the pointer at most once a second.
  arrangeSoon() {
    this.waiting ??= setTimeout(() => this.arrange(), Math.max(0, this.arrangedAt + 1000 - performance.now()));
  }

  arrange() {
    clearTimeout(this.waiting);
    this.waiting = undefined;
    this.arrangedAt = performance.now();
    const {rows, tasks} = this.plan.data;
    this.countStatuses(rows);
    this.table.classList.toggle("o-agents", rows.some((row) => row.used || row.marks));
    const text = this.text.value.trim().toLowerCase(), status = this.status.value;
    const phase = this.phase.value === "" ? null : Number(this.phase.value);
    this.order = [];
    for (let i = 0; i < rows.length; i++) {
      if (status && rows[i].status !== status) continue;
      if (phase !== null && tasks.phase[i] !== phase) continue;
      if (text && !this.words[i].includes(text)) continue;
      this.order.push(i);
    }
    if (this.sorted.column) this.sort();
    this.lines = new Map(this.order.map((i, line) => [i, line]));
    const all = tasksInWords(rows.length);
    say(this.count, this.order.length === rows.length ? all : `${this.order.length.toLocaleString("en")} of ${all}`);
    this.table.setAttribute("aria-rowcount", this.order.length + 1);
    this.draw();
  }

  // The statuses that occur, with how many tasks have them.
  countStatuses(rows) {
    const counts = new Map();
    for (const row of rows) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    const now = this.status.value;
    const names = LIFE.filter((status) => status && (counts.has(status) || status === now));
    const options = names.map((status) => [status, `${STATUSES[status].icon} ${statusName(status)} (${(counts.get(status) ?? 0).toLocaleString("en")})`]);
    const told = JSON.stringify(options);
    if (told === this.options) return;
    this.options = told;
    this.status.replaceChildren(element("option", {value: ""}, "All statuses"), ...options.map(([value, label]) => element("option", {value}, label)));
    this.status.value = now;
  }

  sortBy(column) {
    const {sorted} = this;
    if (sorted.column !== column) this.sorted = {column, down: false};
    else this.sorted = sorted.down ? {column: null, down: false} : {column, down: true};
    COLUMNS.forEach((other, place) => {
      if (!other.key) return;
      const way = other === this.sorted.column ? (this.sorted.down ? "descending" : "ascending") : "none";
      this.heads[place].setAttribute("aria-sort", way);
    });
    this.arrange();
  }

  // What has no value comes last, either way; what is equal stays in the plan's order.
  sort() {
    const {column, down} = this.sorted, sign = down ? -1 : 1;
    const keys = this.plan.rows.map((_, i) => column.key(this.plan, i));
    const compare = typeof keys[0] === "string" ? new Intl.Collator("en", {numeric: true}).compare : (a, b) => a - b;
    this.order.sort((a, b) => {
      const [left, right] = [keys[a], keys[b]];
      if (left === undefined || right === undefined) return (left === undefined) - (right === undefined) || a - b;
      return sign * compare(left, right) || a - b;
    });
  }

  // -- drawing --------------------------------------------------------------------------------------------------------

  draw() {
    if (!this.plan) return;
    const {scrollTop, clientHeight} = this.scroll, {order, shown} = this;
    const seen = Math.ceil(clientHeight / ROW_HEIGHT);
    const from = Math.max(0, Math.min(Math.floor(scrollTop / ROW_HEIGHT), order.length - seen) - ROWS_AROUND);
    const to = Math.min(order.length, from + seen + 2 * ROWS_AROUND);
    const wanted = order.slice(from, to), kept = new Set(wanted);
    for (const [i, row] of shown) {
      if (kept.has(i)) continue;
      row.tr.remove();
      shown.delete(i);
    }
    spacer(this.above, from);
    spacer(this.below, order.length - to);
    let next = this.above.nextSibling;
    wanted.forEach((i, place) => {
      if (!shown.has(i)) shown.set(i, new TaskRow(this.plan, i));
      const row = shown.get(i);
      if (row.tr === next) next = next.nextSibling;
      else this.body.insertBefore(row.tr, next);
      row.update(from + place + 2, this.plan.tasks.id[i] === this.plan.data.selected, i === this.cursor);
    });
    const at = shown.get(this.cursor);
    if (at) this.table.setAttribute("aria-activedescendant", at.tr.id);
    else this.table.removeAttribute("aria-activedescendant");
    this.tick();
  }

  // Once a second, as long as a row that is seen has seconds to count.
  tick() {
    const live = [...this.shown.values()].some((row) => row.live);
    if (live) this.ticking ??= setInterval(() => this.draw(), 1000);
    if (!live && this.ticking) this.ticking = clearInterval(this.ticking);
  }

  // -- pointer and keyboard -------------------------------------------------------------------------------------------

  clicked(event) {
    const tr = event.target.closest("tr[data-task]");
    if (tr && !String(getSelection())) this.select(this.places.get(tr.dataset.task)); // who marks text copies it
  }

  select(i) {
    if (i === undefined || i < 0) return;
    const id = this.plan.tasks.id[i];
    this.plan.data.selected = this.told = id;
    this.cursor = i;
    this.channel.tell({type: "select", task: id});
    this.draw();
  }

  pressed(event) {
    if (event.target !== this.table || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / ROW_HEIGHT) - 2), last = this.order.length - 1;
    const line = this.lines.get(this.cursor) ?? -1;
    const moves = {ArrowDown: line + 1, ArrowUp: line - 1, PageDown: line + page, PageUp: line - page, Home: 0, End: last};
    if (event.key in moves) this.point(this.order[Math.max(0, Math.min(last, moves[event.key]))] ?? -1);
    else if (event.key === "Enter" || event.key === " ") this.select(this.cursor);
    else return;
    event.preventDefault();
  }

  point(i) {
    this.cursor = i;
    this.reveal(i);
    this.draw();
  }

  reveal(i) {
    const line = this.lines.get(i);
    if (line === undefined) return;
    const {scrollTop, clientHeight} = this.scroll, room = clientHeight - ROW_HEIGHT; // the head covers one
    if (line * ROW_HEIGHT < scrollTop) this.scroll.scrollTop = line * ROW_HEIGHT;
    else if ((line + 1) * ROW_HEIGHT > scrollTop + room) this.scroll.scrollTop = (line + 1) * ROW_HEIGHT - room;
  }

  close() {
    this.sizes.disconnect();
    clearTimeout(this.waiting);
    clearInterval(this.ticking);
  }
}

class TaskRow {
  constructor(plan, i) {
    this.plan = plan;
    this.i = i;
    const {id, title, kind, priority} = plan.tasks;
    this.cells = Object.fromEntries(COLUMNS.map(({name}) => [name, element("td", {class: `o-${name}`, role: "gridcell"})]));
    this.cells.agent.append(plan.agent(i), " ", element("span", {class: "o-muted"}, kind[i]));
    this.cells.task.append(element("strong", {}, id[i]), " ", title[i]);
    this.cells.task.title = title[i] ? `${id[i]}: ${title[i]}` : id[i];
    this.cells.priority.textContent = `P${priority[i]}`;
    this.bar = element("progress", {"aria-label": `Progress of ${id[i]}`});
    this.steps = element("span", {class: "o-steps"});
    this.cells.progress.append(this.bar, this.steps);
    this.tr = element("tr", {id: uniqueId(), "data-task": id[i]}, ...Object.values(this.cells));
  }

  update(line, selected, current) {
    const {plan, i, cells, tr} = this, row = plan.rows[i];
    put(tr, "aria-rowindex", line);
    put(tr, "aria-selected", selected);
    if (row !== this.row) this.state(row);
    tr.classList.toggle("o-current", current);
    this.live = row.status === "running" || row.again !== undefined;
    say(cells.duration, timeOrNone(plan.spent(i)));
    say(cells.eta, timeOrNone(plan.left(i)));
    const waits = plan.waits(i), {marks = ""} = row, told = [marks, waits].filter(Boolean).join("; ");
    if (cells.waits.title !== told) {
      cells.waits.title = told;
      cells.waits.replaceChildren(...(marks ? [element("strong", {class: "o-marks"}, marks), " "] : []), waits);
    }
  }

  state(row) {
    this.row = row;
    put(this.tr, "data-status", row.status);
    this.tr.className = `s-${row.status}`;
    this.cells.status.replaceChildren(badge(row.status), " ", statusName(row.status));
    const total = row.total || 1;
    put(this.bar, "max", total);
    if (row.status === "running" && !row.total) this.bar.removeAttribute("value");
    else put(this.bar, "value", row.status === "completed" ? total : row.done ?? 0);
    say(this.steps, stepsInWords(row));
    say(this.cells.attempts, row.attempt ? String(row.attempt) : "–");
    if (say(this.cells.used, row.used ?? "")) this.cells.used.title = row.used_told ?? "";
  }
}

function spacer(tr, rows) {
  tr.firstChild.style.height = `${rows * ROW_HEIGHT}px`;
  tr.hidden = rows === 0;
}

function timeOrNone(seconds) {
  if (seconds === undefined) return "–";
  return duration(seconds < 9.95 && seconds >= 1 ? Math.round(seconds * 10) / 10 : seconds);
}

// 3/8; a task tells each step as it begins, so none is missing once it is completed.
function stepsInWords({status, done, total}) {
  return total ? `${status === "completed" ? total : done}/${total}` : "";
}

function tasksInWords(number) {
  return `${number.toLocaleString("en")} task${number === 1 ? "" : "s"}`;
}
