// What one task writes, and in further tabs what came of it.

const TABS = {output: "Output", result: "Result", notebook: "Notebook", files: "Files", why: "Why"};
const LOGGING = ["shell", "notebook"]; // agents that print; others tell steps, or nothing

class OutputsDrawing {
  constructor(el, channel) {
    this.channel = channel;
    this.tab = "output";
    this.asked = new Map(); // what was asked for -> the key of the task at that time
    this.files = new Set(); // names of those that are shown
    this.box = new TextBox("what the task writes");
    this.panel = element("div", {class: "o-panel", tabindex: 0});
    this.by = element("div", {class: "o-by o-muted", hidden: true});
    el.append(element("div", {class: "o-outputs"}, this.head(), this.by, this.tabs(), this.box.root, this.panel));
    this.ticking = setInterval(() => this.tick(), 1000);
  }

  head() {
    const list = uniqueId();
    this.choices = element("datalist", {id: list});
    this.chooser = element("input", {class: "o-field o-chooser", list, "aria-label": "Task", title: "Task: an id, or part of one", autocomplete: "off", spellcheck: "false"});
    this.chooser.addEventListener("change", () => this.channel.tell({type: "find", text: this.chooser.value}));
    this.chooser.addEventListener("focus", () => this.chooser.select());
    this.chooser.addEventListener("blur", () => { this.chooser.value = this.data.task?.id ?? ""; });
    this.status = element("span", {class: "o-state"});
    this.title = element("span", {class: "o-muted o-title"});
    this.bar = element("progress", {"aria-label": "Progress of the task"});
    this.steps = element("span", {class: "o-muted"});
    this.attempt = element("select", {class: "o-field", "aria-label": "Attempt"});
    this.attempt.addEventListener("change", () => this.channel.tell({type: "attempt", attempt: Number(this.attempt.value)}));
    this.follow = element("input", {type: "checkbox"});
    this.follow.addEventListener("change", () => this.channel.tell({type: "follow", on: this.follow.checked}));
    const follow = element("label", {class: "o-check", title: "Show a task that is running, and then the next one"}, this.follow, " Follow what runs");
    return element("div", {class: "o-bar"}, this.chooser, this.choices, this.status, this.bar, this.steps, this.title,
      element("span", {class: "o-space"}), this.attempt, follow);
  }

  tabs() {
    this.buttons = Object.entries(TABS).map(([name, title]) =>
      element("button", {type: "button", role: "tab", class: "o-tab", "data-tab": name, onclick: () => this.choose(name)}, title));
    const list = element("div", {class: "o-tabs", role: "tablist", "aria-label": "What is shown of the task"}, ...this.buttons);
    list.addEventListener("keydown", (event) => {
      const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!by) return;
      const open = this.buttons.filter((button) => !button.hidden), at = open.findIndex((button) => button.dataset.tab === this.tab);
      const next = open[(at + by + open.length) % open.length];
      this.choose(next.dataset.tab);
      next.focus();
      event.preventDefault();
    });
    return list;
  }

  // -- what the kernel tells ------------------------------------------------------------------------------------------

  whole(data) {
    this.data = data;
    this.asked.clear();
    this.offer();
    this.task();
    this.box.take(data.text, this.why());
  }

  take(message) {
    if (message.type === "task") this.task();
    if (message.type === "text") this.box.take(message.text, this.why());
    if (message.type === "choices") this.offer();
    if (message.type === "content") this.content();
    if (message.content?.again) this.later = setTimeout(() => this.again(message), 500);
  }

  // The notebook was just being written.
  again({what, name}) {
    this.asked.delete(`${what} ${name}`);
    delete this.data.contents[`${what} ${name}`];
    this.content();
  }

  offer() {
    this.choices.replaceChildren(...this.data.choices.map((value) => element("option", {value})));
  }

  task() {
    const {task, follow} = this.data;
    this.follow.checked = follow;
    if (!task) return;
    if (document.activeElement !== this.chooser || task.id !== this.id) this.chooser.value = task.id;
    const other = task.id !== this.id;
    this.id = task.id;
    this.status.className = `o-state s-${task.status}`;
    this.status.dataset.status = task.status;
    this.status.replaceChildren(badge(task.status), " ", statusName(task.status));
    say(this.title, task.title);
    this.title.title = `${task.agent}, ${task.kind}: ${task.title || task.id}`;
    this.bar.className = `s-${task.status}`;
    this.bar.hidden = task.status !== "running";
    if (task.total) Object.assign(this.bar, {max: task.total, value: task.done});
    else this.bar.removeAttribute("value");
    const numbers = Array.from({length: task.attempts}, (_, i) => i + 1);
    if (other || numbers.length !== this.attempt.length) {
      this.attempt.replaceChildren(...numbers.map((number) => element("option", {value: number}, `Attempt ${number}`)));
    }
    this.attempt.value = task.attempt;
    this.attempt.hidden = task.attempts < 2;
    this.tellWho(task);
    for (const button of this.buttons) this.name(button, task);
    this.tick();
    if (other) this.files.clear();
    if (other) this.turn(this.chosen && !(this.chosen === "notebook" && task.kind !== "notebook") ? this.chosen : best(task));
    else this.content();
    if (this.data.text?.key === `${task.id}/${task.attempt}`) this.box.take(null, this.why());
  }

  // How a coding agent runs, and what it has used.
  tellWho({by = "", marks = ""}) {
    this.by.hidden = !by;
    this.by.replaceChildren(...(marks ? [element("strong", {class: "o-marks"}, marks), " · "] : []), by);
  }

  name(button, task) {
    const {tab} = button.dataset;
    button.hidden = tab === "notebook" && task.kind !== "notebook";
    if (tab === "files") say(button, task.files.length ? `Files (${task.files.length})` : "Files");
  }

  tick() {
    const {task} = this.data ?? {};
    if (!task) return;
    const spent = task.started !== null ? Math.max(0, this.channel.now() - task.started) : task.duration;
    const parts = [stepsInWords(task), task.status === "running" ? task.message : "", spent === null ? "" : duration(spent)];
    say(this.steps, parts.filter(Boolean).join(" · "));
  }

  // Why there may be nothing to read.
  why() {
    const {task} = this.data;
    if (!task) return "There is no task.";
    if (task.live) return "Nothing was written so far.";
    if (!task.attempt) return "It has not started: see Why.";
    return LOGGING.includes(task.kind) ? "It printed nothing." : `It has no log: what a task of kind “${task.kind}” does is in its result.`;
  }

  // -- tabs -----------------------------------------------------------------------------------------------------------

  choose(name) {
    this.chosen = name;
    this.turn(name);
  }

  turn(name) {
    this.tab = name;
    for (const button of this.buttons) {
      button.setAttribute("aria-selected", button.dataset.tab === name);
      button.tabIndex = button.dataset.tab === name ? 0 : -1;
    }
    this.box.root.hidden = name !== "output";
    this.panel.hidden = name === "output";
    this.panel.replaceChildren();
    this.panel.scrollTop = 0;
    this.drawn = null;
    if (name === "output") this.box.stay();
    this.content();
  }

  content() {
    const {task} = this.data, {tab} = this;
    if (!task || tab === "output") return;
    if (tab === "files") {
      this.drawFiles(task);
      return;
    }
    const made = this.made(tab);
    if (made && made !== this.drawn) this.panel.replaceChildren(...drawContent((this.drawn = made)));
    if (!made && !this.panel.firstChild) this.panel.append(element("p", {class: "o-note"}, "…"));
  }

  // What the kernel made of the task, the newest there is; it is asked for anew when the task has gone on.
  made(what, name = "") {
    const {task, contents} = this.data, slot = `${what} ${name}`, found = contents[slot];
    if (found?.key !== task.key && this.asked.get(slot) !== task.key) {
      this.asked.set(slot, task.key);
      this.channel.tell({type: "ask", what, name, key: task.key});
    }
    return found && found.key.startsWith(`${task.id} `) && !found.content.again ? found.content : null;
  }

  drawFiles(task) {
    const told = JSON.stringify([task.files, [...this.files], [...this.files].map((name) => this.data.contents[`file ${name}`]?.key)]);
    for (const name of this.files) this.made("file", name);
    if (told === this.drawn) return;
    this.drawn = told;
    const empty = element("p", {class: "o-note"}, "It has left no files.");
    this.panel.replaceChildren(...(task.files.length ? task.files.map((file) => this.drawFile(file)) : [empty]));
    if (task.more_files) this.panel.append(element("p", {class: "o-note"}, `… ${task.more_files.toLocaleString("en")} more`));
  }

  drawFile(file) {
    const open = this.files.has(file.name), path = element("code", {class: "o-path"}, file.path);
    const show = element("button", {type: "button", class: "o-button", "aria-expanded": open}, open ? "Hide" : "Show");
    show.addEventListener("click", () => {
      if (open) this.files.delete(file.name);
      else this.files.add(file.name);
      this.content();
    });
    const copy = element("button", {type: "button", class: "o-button", title: "Copy the path"}, "Copy path");
    copy.addEventListener("click", () => copyText(file.path, path));
    const made = open ? this.made("file", file.name) : null;
    return element("section", {class: "o-file", "data-file": file.name},
      element("div", {class: "o-bar"}, element("strong", {}, file.name), element("span", {class: "o-muted"}, sizeInWords(file.size)), show, copy, path),
      ...(made ? drawContent(made) : []));
  }

  close() {
    clearInterval(this.ticking);
    clearTimeout(this.later);
    this.box.close();
  }
}

// The tab that says most, as long as nobody chose one.
function best(task) {
  return task.status === "completed" && !LOGGING.includes(task.kind) ? "result" : "output";
}

// `html` is made by projections.rendering, the one function whose HTML may come into a page.
function drawContent({lines = [], html = "", image = ""}) {
  const nodes = lines.map((line) => element("p", {}, line));
  if (html) {
    const made = element("div", {class: "o-made"});
    made.innerHTML = html;
    nodes.push(made);
  }
  if (image.startsWith("data:image/")) nodes.push(element("img", {src: image, alt: "", class: "o-picture"}));
  return nodes;
}

// Where a page may not write to the clipboard, the text is marked for whoever copies it by hand.
function copyText(text, node) {
  const mark = () => getSelection().selectAllChildren(node);
  if (navigator.clipboard) navigator.clipboard.writeText(text).catch(mark);
  else mark();
}

function sizeInWords(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
