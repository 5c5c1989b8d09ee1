// One instance a model: `initialize` listens from the first message on, `render` draws as often as it is displayed.
// JupyterLab keeps models that are closed, and their views' elements: so both are emptied.
document.head.append(element("style", {}, STYLE)); // once: a page looks at all it shows anew when it gets another one

const DRAWINGS = {graph: GraphView, table: TableView, text: TextView};

// JupyterLab takes keys for its commands from wherever they are pressed: "b" in a list would add a cell.
function keepPlainKeys(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key !== "Escape") event.stopPropagation();
}

export default () => {
  let channel;
  return {
    initialize({model}) {
      const drawing = DRAWINGS[model.get("kind")];
      channel = new Channel(model);
      channel.store = drawing.store;
      return () => {
        channel.close();
        for (const name of ["snapshot", "code", "kind"]) model.set(name, ""); // each keeps what was before it
      };
    },
    render({model, el}) {
      el.classList.add("orchestrator");
      el.addEventListener("keydown", keepPlainKeys);
      const view = new DRAWINGS[model.get("kind")](el, channel);
      const remove = channel.add(view);
      return () => {
        remove();
        view.close?.();
        el.replaceChildren();
      };
    },
  };
};
