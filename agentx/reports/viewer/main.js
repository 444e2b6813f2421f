// The page: a list on the left, one episode or two of the same sample on the right. What is shown is in the address,
// so that it can be linked to and the browser's back button works.
"use strict";
(function () {
  const { el } = agentx;
  let list;
  let main;
  let shown = 0;

  const address = parts => "#" + new URLSearchParams(Object.entries(parts).filter(([, value]) => value !== "" && value !== undefined)).toString();

  function open(row, other) {
    location.hash = address({ cell: row.cell.id, sample: row.sample, trial: row.trial || "",
      with: other ? other.cell.id : "", withTrial: other && other.trial ? other.trial : "" });
  }

  function comparer(row, other) {
    const others = list.others(row);
    if (!others.length) return null;
    const name = item => `${item.cell.method} · ${item.cell.model} · ${item.cell.training}${item.trial ? ` · trial ${item.trial}` : ""} (${item.success ? "solved" : "failed"})`;
    const select = el("select", { name: "with", "aria-label": "compare with" }, el("option", { value: "" }, "compare with …"),
      others.map((item, i) => el("option", { value: i, selected: item === other }, name(item))));
    select.addEventListener("change", () => open(row, select.value === "" ? null : others[Number(select.value)]));
    return el("p", { class: "comparer" }, select);
  }

  function selectedPath(episode) {
    return episode.paths.find(path => path.index === episode.selected) || episode.paths[0];
  }

  async function show() {
    const turn = ++shown;
    const wanted = new URLSearchParams(location.hash.slice(1));
    const row = wanted.has("cell") ? list.at(wanted.get("cell"), wanted.get("sample"), Number(wanted.get("trial") || 0)) : null;
    if (row === null) {
      main.replaceChildren(welcome());
      list.select(null);
      return;
    }
    list.select(row);
    if (row.error !== null) {
      main.replaceChildren(el("article", { class: "episode" }, el("h2", {}, row.sample),
        el("p", {}, "An infrastructure error: not the agent's doing, not scored, tried again by the next run."), el("pre", {}, row.error)));
      return;
    }
    const other = wanted.has("with") ? list.at(wanted.get("with"), row.sample, Number(wanted.get("withTrial") || 0)) : null;
    const rows = other === null || other.error !== null ? [row] : [row, other];
    try {
      const episodes = await Promise.all(rows.map(item => agentx.loadEpisode(item.cell, item.position)));
      if (turn !== shown) return;
      const parted = rows.length === 2 ? agentx.parting(selectedPath(episodes[1]), selectedPath(episodes[0])) : -1;
      const pages = rows.map((item, i) => agentx.drawEpisode(item, episodes[i], parted));
      const note = rows.length === 2 ? el("p", { class: "note" }, parted < 0 ? "Both do the same, as far as the second goes."
        : `The paths that count do the same for ${parted} step${parted === 1 ? "" : "s"}, then part.`) : null;
      main.replaceChildren(...[comparer(row, other), note, el("div", { class: `pages${rows.length === 2 ? " two" : ""}` }, pages)].filter(Boolean));
    } catch (error) {
      if (turn === shown) main.replaceChildren(el("p", { class: "failed" }, `This episode cannot be shown: ${error.message}`));
    }
    main.scrollTop = 0;
    main.dataset.shown = location.hash;
  }

  function welcome() {
    return el("article", { class: "welcome" }, el("h2", {}, "Every episode, step by step"),
      el("p", {}, "Choose one on the left; the arrow keys go through them. Its drawing shows the search: a row is a path, a dot a step, ",
        "small dots are candidates that were not taken. Choose a dot to read the step."),
      el("p", { class: "legend" }, [["valid", "valid action"], ["invalid_action", "invalid action"], ["hallucinated", "names something never seen"],
        ["invalid_format", "no action in the reply"]].map(([name, words]) => el("span", {}, el("i", { class: name }), words))),
      el("table", {}, el("thead", {}, el("tr", {}, ["task", "model", "training", "method", "episodes", "success"].map(name => el("th", {}, name)))),
        el("tbody", {}, agentx.cells.map(cell => el("tr", {}, el("td", {}, cell.task), el("td", {}, cell.model), el("td", {}, cell.training),
          el("td", {}, cell.method), el("td", {}, `${agentx.number(cell.n)} of ${agentx.number(cell.expected)}`), el("td", {}, cell.success))))));
  }

  async function start() {
    main = document.getElementById("episode");
    const names = document.body.dataset.cells ? JSON.parse(document.body.dataset.cells) : [];
    const missing = await agentx.loadCells(names);
    list = new agentx.EpisodeList(agentx.cells, row => open(row));
    document.getElementById("list").replaceWith(list.element);
    list.filter();
    if (missing.length) main.before(el("p", { class: "failed" }, `Files of ${missing.length} cells are missing: ${missing.join(", ")}`));
    window.addEventListener("hashchange", show);
    await show();
    agentx.list = list;
    agentx.readyMilliseconds = performance.now();
    document.documentElement.dataset.ready = "yes";
  }

  start().catch(error => { document.getElementById("episode").textContent = `The list cannot be shown: ${error.message}`; });
})();
