// The data files, loaded on demand: script tags work from disk, where a page may not read other files.
"use strict";
(function () {
  const waiting = new Map();
  const chunks = new Map();
  agentx.cells = [];

  function load(address) {
    if (!waiting.has(address)) {
      waiting.set(address, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = address;
        script.onload = () => resolve();
        script.onerror = () => { waiting.delete(address); reject(new Error("cannot read " + address)); };
        document.head.append(script);
      }));
    }
    return waiting.get(address);
  }

  const place = (cell, file) => "data/" + encodeURIComponent(cell) + "/" + file;

  // What the data files call.
  agentx.index = cell => { agentx.cells.push(cell); };
  agentx.chunk = (cell, number, texts) => { chunks.set(cell + "/" + number, texts); };

  /** Loads the index of every cell; the cells come in the order of the tables. */
  agentx.loadCells = async function (names) {
    const loaded = await Promise.allSettled(names.map(name => load(place(name, "index.js"))));
    agentx.cells.sort((a, b) => names.indexOf(a.id) - names.indexOf(b.id));
    return names.filter((_, i) => loaded[i].status === "rejected");
  };

  /** One whole episode of a cell, by its position in the cell's index. */
  agentx.loadEpisode = async function (cell, position) {
    let number = cell.starts.length - 1;
    while (cell.starts[number] > position) number -= 1;
    await load(place(cell.id, number + ".js"));
    return JSON.parse(chunks.get(cell.id + "/" + number)[position - cell.starts[number]]);
  };
})();
