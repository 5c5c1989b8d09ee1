// What each widget brings as its module. A page keeps every module for ever, so this one is small: it fetches the one
// that all widgets share from the model that is there first.
export default () => {
  let drawing;
  return {
    async initialize({model}) {
      const shared = (globalThis.orchestratorModules ??= new Map());
      if (!shared.has(VERSION)) {
        const url = URL.createObjectURL(new Blob([model.get("code")], {type: "text/javascript"}));
        shared.set(VERSION, import(url).finally(() => URL.revokeObjectURL(url)));
      }
      drawing = (await shared.get(VERSION)).default();
      return drawing.initialize({model});
    },
    render(context) {
      return drawing.render(context);
    },
  };
};
