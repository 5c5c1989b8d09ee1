// Text that grows, with search and follow: the log of the run, and what tasks write.

// Lines that a page holds of a text, brought up to date: `news` has those from number `begin` on, and how many are
// kept no more (`first`).
function withNews(text, news) {
  if (!text || text.key !== news.key) return {...news, begin: news.first};
  const kept = text.lines.slice(Math.max(0, news.first - text.first), Math.max(0, news.begin - text.first));
  return {...news, begin: news.first, lines: kept.concat(news.lines)};
}

// The lines in a box that scrolls. It stays at the end until somebody scrolls up, or looks for something.
class TextBox {
  constructor(label) {
    this.key = null;
    this.first = 0; // number of the first line that is shown
    this.hits = [];
    this.at = -1;
    this.atEnd = true;
    this.search = element("input", {type: "search", class: "o-field", placeholder: "Search", "aria-label": `Search ${label}`});
    this.search.addEventListener("input", () => this.find());
    this.search.addEventListener("keydown", (event) => { if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1); });
    this.found = element("span", {class: "o-muted", role: "status"});
    const button = (text, title, onclick) => element("button", {type: "button", class: "o-button", title, "aria-label": title, onclick}, text);
    this.steps = [button("↑", "Previous match", () => this.step(-1)), button("↓", "Next match", () => this.step(1))];
    this.follow = button("Follow ⤓", "Go to the end, and stay there", () => this.toEnd());
    this.head = element("p", {class: "o-note", hidden: true});
    this.lines = element("div");
    this.open = element("div");
    this.empty = element("p", {class: "o-note", hidden: true});
    this.box = element("div", {class: "o-lines", role: "log", "aria-live": "off", "aria-label": label, tabindex: 0, onscroll: () => this.scrolled()},
      this.head, this.lines, this.open, this.empty);
    this.sizes = new ResizeObserver(() => this.stay());
    this.sizes.observe(this.box);
    this.root = element("div", {class: "o-textbox"},
      element("div", {class: "o-bar"}, this.search, ...this.steps, this.found, element("span", {class: "o-space"}), this.follow), this.box);
    this.tellFound();
    this.scrolled();
  }

  // Show what `text` adds to what is shown, or all of it; `why` says why there may be nothing.
  take(text, why = "") {
    if (text && text.key !== this.key) {
      this.key = text.key;
      this.first = text.first;
      this.lines.replaceChildren();
      this.hits = [];
      this.atEnd = true;
    }
    if (text) this.add(text);
    const nothing = !this.lines.firstChild && !this.open.firstChild;
    this.empty.hidden = !nothing;
    say(this.empty, why);
    this.stay();
  }

  add(text) {
    const {lines} = this;
    for (; this.first < text.first && lines.firstChild; this.first++) lines.firstChild.remove();
    if (!lines.firstChild) this.first = text.begin;
    while (this.first + lines.childElementCount > text.begin && lines.lastChild) lines.lastChild.remove();
    this.hits = this.hits.filter((hit) => hit.isConnected);
    const added = text.lines.map(textLine);
    lines.append(...added);
    this.open.replaceChildren(...text.open.map(textLine));
    const notes = [text.first ? `${text.first.toLocaleString("en")} earlier lines` : "", text.note ?? ""].filter(Boolean);
    this.head.hidden = notes.length === 0;
    say(this.head, `… ${notes.join("; ")}`);
    if (this.search.value) this.mark(added);
  }

  // -- search ---------------------------------------------------------------------------------------------------------

  find() {
    for (const hit of this.hits) hit.replaceWith(hit.textContent);
    this.lines.normalize();
    this.hits = [];
    this.at = -1;
    this.mark([...this.lines.children]);
    if (this.hits.length) this.step(-1);
  }

  mark(lines) {
    const wanted = this.search.value.toLowerCase();
    for (const line of lines) {
      if (!wanted || this.hits.length >= MOST_HITS) break;
      const text = line.textContent, pieces = [];
      let from = 0;
      for (let at = foundIn(text, wanted, 0); at >= 0; at = foundIn(text, wanted, from)) {
        const hit = element("mark", {}, text.slice(at, at + wanted.length));
        pieces.push(text.slice(from, at), hit);
        this.hits.push(hit);
        from = at + wanted.length;
      }
      if (from) line.replaceChildren(...pieces, text.slice(from));
    }
    this.tellFound();
  }

  step(by) {
    const {hits, box} = this;
    if (!hits.length) return;
    hits[this.at]?.classList.remove("o-now");
    this.at = this.at < 0 ? (by > 0 ? 0 : hits.length - 1) : (this.at + by + hits.length) % hits.length;
    const hit = hits[this.at];
    hit.classList.add("o-now");
    box.scrollTop = hit.offsetTop - box.clientHeight / 2;
    this.tellFound();
  }

  tellFound() {
    const {length} = this.hits, number = length >= MOST_HITS ? `${MOST_HITS.toLocaleString("en")} or more` : length.toLocaleString("en");
    say(this.found, !this.search.value ? "" : length ? `${(this.at + 1).toLocaleString("en")} of ${number}` : "not found");
    for (const button of this.steps) button.disabled = length === 0;
  }

  // -- the end --------------------------------------------------------------------------------------------------------

  scrolled() {
    const {scrollTop, clientHeight, scrollHeight} = this.box;
    if (clientHeight) this.atEnd = scrollTop + clientHeight >= scrollHeight - 8;
    this.follow.setAttribute("aria-pressed", this.atEnd);
  }

  stay() {
    if (this.atEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  toEnd() {
    this.atEnd = true;
    this.stay();
  }

  close() {
    this.sizes.disconnect();
  }
}

const MOST_HITS = 2000;

function textLine(line) {
  const [text, kind] = typeof line === "string" ? [line, ""] : line;
  return element("div", {class: kind ? `o-line o-${kind}` : "o-line"}, text);
}

function foundIn(text, wanted, from) {
  const lower = text.toLowerCase();
  return lower.length === text.length ? lower.indexOf(wanted, from) : text.indexOf(wanted, from); // some letters grow
}

// The log of the run; where the page knows of a task, what that writes, and in further tabs what came of it.
class TextView {
  // Keep `data`, the page's copy, true to `message`.
  static store(data, message) {
    if (message.type === "text") data.text = withNews(data.text, message.text);
    if (message.type === "task") Object.assign(data, {task: message.task, follow: message.follow});
    if (message.type === "choices") data.choices = message.choices;
    if (message.type === "content") data.contents[`${message.what} ${message.name}`] = {key: message.key, content: message.content};
  }

  constructor(el, channel) {
    this.el = el;
    this.channel = channel;
  }

  whole(data) {
    this.data = data;
    this.shown ??= "task" in data ? new OutputsDrawing(this.el, this.channel) : new LogDrawing(this.el);
    this.shown.whole(data);
  }

  take(message) { this.shown.take(message, this.data); }

  close() { this.shown?.close(); }
}

class LogDrawing {
  constructor(el) {
    this.box = new TextBox("the log of the run");
    el.append(this.box.root);
  }

  whole(data) { this.box.take(data.text, "Nothing has happened yet."); }

  take(message) { if (message.type === "text") this.box.take(message.text); }

  close() { this.box.close(); }
}
