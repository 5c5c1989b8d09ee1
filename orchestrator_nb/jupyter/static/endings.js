// Puts what stays of widgets that have ended into the notebook that still holds them (endings.py): a page that was loaded
// again does not know its outputs by their display ids. Front ends other than JupyterLab's keep their notebook to
// themselves: there nothing is done.
const WIDGET = "application/vnd.jupyter.widget-view+json";

// The cells' outputs that show a widget.
function* displays(notebook) {
  for (let cell = 0; cell < (notebook?.cells?.length ?? 0); cell += 1) {
    const {outputs} = notebook.cells.get(cell);
    for (let at = 0; at < (outputs?.length ?? 0); at += 1) {
      const widget = outputs.get(at).data?.[WIDGET]?.model_id;
      if (widget) yield {widget, outputs, at};
    }
  }
}

export default {
  initialize({model}) {
    const notebook = model.widget_manager?.context?.model;
    const look = () => {
      const ended = new Set(model.get("ended"));
      const found = new Set([...displays(notebook)].map(({widget}) => widget).filter((widget) => ended.has(widget)));
      for (const widget of found) model.send({type: "ended", widget});
    };
    model.on("change:ended", look);
    model.on("msg:custom", ({widget, outputs: [first, ...more]}) => {
      for (const display of [...displays(notebook)].filter((shown) => shown.widget === widget)) {
        display.outputs.set(display.at, first);
        for (const output of more) display.outputs.add(output);
      }
    });
    look();
  },
};
