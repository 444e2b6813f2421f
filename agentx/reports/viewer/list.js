// The list of episodes: all of them in memory as small rows, only those in view on the page.
"use strict";
(function () {
  const { el } = agentx;
  const HEIGHT = 46;
  const EXTRA = 8;
  const SHOWN = {
    success: row => row.success,
    failure: row => !row.success && !row.error,
    "infrastructure error": row => row.error !== null,
    "format errors": row => row.format_error > 0,
    "invalid actions": row => row.invalid_action > 0,
    "hallucinated objects": row => row.hallucinated_object > 0,
    loops: row => row.loop > 0,
    "several paths": row => row.paths > 1,
  };
  const ORDER = {
    sample: (a, b) => a.sample < b.sample ? -1 : a.sample > b.sample ? 1 : a.trial - b.trial || a.cell.position - b.cell.position,
    "reward, best first": (a, b) => b.reward - a.reward || ORDER.sample(a, b),
    "reward, worst first": (a, b) => a.reward - b.reward || ORDER.sample(a, b),
    "most steps": (a, b) => b.steps - a.steps || ORDER.sample(a, b),
    "most tokens": (a, b) => b.tokens - a.tokens || ORDER.sample(a, b),
    "most seconds": (a, b) => b.seconds - a.seconds || ORDER.sample(a, b),
  };
  const COLUMNS = ["sample", "trial", "kind", "outcome", "success", "reward", "steps", "calls", "tokens", "seconds", "paths",
    "format_error", "invalid_action", "hallucinated_object", "loop"];

  /** Every episode of every cell as a row, and by task and sample for comparisons. */
  function rowsOf(cells) {
    const rows = [];
    cells.forEach((cell, position) => {
      cell.position = position;
      for (let i = 0; i < cell.columns.sample.length; i += 1) {
        const row = { cell, position: i, error: null };
        for (const name of COLUMNS) row[name] = cell.columns[name][i];
        rows.push(row);
      }
      for (const [sample, trial, message] of cell.errors) {
        rows.push({ cell, position: -1, error: message, sample, trial, kind: "", outcome: "infrastructure_error", success: false,
          reward: 0, steps: 0, calls: 0, tokens: 0, seconds: 0, paths: 0, format_error: 0, invalid_action: 0,
          hallucinated_object: 0, loop: 0 });
      }
    });
    return rows;
  }

  class EpisodeList {
    constructor(cells, open) {
      this.rows = rowsOf(cells);
      this.open = open;
      this.found = [];
      this.current = null;
      this.same = new Map();
      for (const row of this.rows) {
        const key = JSON.stringify([row.cell.task, row.sample]);
        if (!this.same.has(key)) this.same.set(key, []);
        this.same.get(key).push(row);
      }
      this.count = el("output", { class: "count" });
      this.space = el("div", { class: "space" });
      this.view = el("div", { class: "rows", tabindex: "0", role: "listbox", "aria-label": "episodes" }, this.space);
      this.view.addEventListener("scroll", () => this.draw(), { passive: true });
      this.view.addEventListener("keydown", event => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.view);
      this.controls = this.makeControls(cells);
      this.element = el("aside", { class: "list" }, el("div", { class: "filters" }, Object.values(this.controls)), this.count, this.view);
    }

    makeControls(cells) {
      const choice = (name, values) => el("select", { name, "aria-label": name, on: { change: () => this.filter() } },
        el("option", { value: "" }, "any " + name), [...new Set(values)].map(value => el("option", { value }, value)));
      const outcomes = [...Object.keys(SHOWN), ...[...new Set(this.rows.map(row => row.outcome))].sort()
        .filter(name => name !== "infrastructure_error")];
      const controls = {
        task: choice("task", cells.map(cell => cell.task)),
        model: choice("model", cells.map(cell => cell.model)),
        method: choice("method", cells.map(cell => cell.method)),
        outcome: choice("outcome", outcomes),
        text: el("input", { type: "search", name: "text", placeholder: "sample or kind", "aria-label": "sample or kind",
          on: { input: () => this.filter() } }),
        order: el("select", { name: "order", "aria-label": "order", on: { change: () => this.filter() } },
          Object.keys(ORDER).map(value => el("option", { value }, "by " + value))),
      };
      controls.order.querySelectorAll("option").forEach((option, i) => { option.value = Object.keys(ORDER)[i]; });
      return controls;
    }

    /** Shows the rows that the controls ask for; returns how many. */
    filter() {
      const started = performance.now();
      const { task, model, method, outcome, text, order } = Object.fromEntries(
        Object.entries(this.controls).map(([name, control]) => [name, control.value]));
      const words = text.toLowerCase();
      const shown = SHOWN[outcome] || (row => row.outcome === outcome);
      this.found = this.rows.filter(row => (!task || row.cell.task === task) && (!model || row.cell.model === model)
        && (!method || row.cell.method === method) && (!outcome || shown(row))
        && (!words || row.sample.toLowerCase().includes(words) || row.kind.toLowerCase().includes(words)));
      this.found.sort(ORDER[order] || ORDER.sample);
      const solved = this.found.filter(row => row.success).length;
      this.count.textContent = `${agentx.number(this.found.length)} of ${agentx.number(this.rows.length)} episodes`
        + (this.found.length ? `, ${agentx.number(solved)} solved` : "");
      this.space.style.height = this.found.length * HEIGHT + "px";
      this.view.scrollTop = 0;
      this.draw();
      agentx.filterMilliseconds = performance.now() - started;
      return this.found.length;
    }

    draw() {
      const first = Math.max(0, Math.floor(this.view.scrollTop / HEIGHT) - EXTRA);
      const last = Math.min(this.found.length, Math.ceil((this.view.scrollTop + this.view.clientHeight) / HEIGHT) + EXTRA);
      const lines = [];
      for (let i = first; i < last; i += 1) lines.push(this.line(this.found[i], i));
      this.space.replaceChildren(...lines);
    }

    line(row, i) {
      const facts = [row.cell.method, row.cell.model, row.error === null ? "reward " + agentx.share(row.reward) : row.error,
        row.error === null && `${row.steps} steps`, row.error === null && `${agentx.number(row.tokens)} tokens`].filter(Boolean);
      const state = row.error !== null ? "broken" : row.success ? "solved" : "failed";
      const line = el("div", { class: `row ${state}${row === this.current ? " current" : ""}`, role: "option",
        "aria-selected": String(row === this.current), on: { click: () => this.open(row) } },
        el("div", {}, el("b", {}, row.sample), row.trial ? ` trial ${row.trial}` : "", el("span", { class: "end" }, agentx.words(row.outcome))),
        el("div", { class: "facts" }, row.kind ? el("span", { class: "kind" }, agentx.words(row.kind)) : "", facts.join(" · ")));
      line.style.top = i * HEIGHT + "px";
      return line;
    }

    select(row) {
      this.current = row;
      const i = this.found.indexOf(row);
      const top = i * HEIGHT;
      if (i >= 0 && (top < this.view.scrollTop || top + HEIGHT > this.view.scrollTop + this.view.clientHeight)) {
        this.view.scrollTop = Math.max(0, top - this.view.clientHeight / 2);
      }
      this.draw();
    }

    key(event) {
      const by = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
      if (!by || !this.found.length) return;
      event.preventDefault();
      const i = this.current === null ? -1 : this.found.indexOf(this.current);
      this.open(this.found[Math.min(this.found.length - 1, Math.max(0, i + by))]);
    }

    /** The other episodes of the same problem. */
    others(row) {
      return this.same.get(JSON.stringify([row.cell.task, row.sample])).filter(other => other !== row && other.error === null);
    }

    at(cell, sample, trial) {
      return this.rows.find(row => row.cell.id === cell && row.sample === sample && row.trial === trial) || null;
    }
  }
  agentx.EpisodeList = EpisodeList;
})();
