// The search as a drawing: paths from the same start, the steps on them, the candidates that were not taken; or the
// states of a tree of thoughts.
"use strict";
(function () {
  const { svg } = agentx;
  const WIDE = 30;
  const HIGH = 64;
  const LEFT = 66;
  const TOP = 30;

  const curve = (x1, y1, x2, y2) => `M${x1},${y1} C${(x1 + x2) / 2},${y1} ${(x1 + x2) / 2},${y2} ${x2},${y2}`;
  const said = step => {
    const candidate = step.candidates[step.chosen];
    return candidate.action === null ? "no action: " + candidate.reply : candidate.action;
  };

  function node(x, y, step, path, go, options) {
    return svg("g", { class: `node ${step.verdict}${options || ""}`, tabindex: "0", role: "button",
      on: { click: () => go(path.index, step.index), keydown: event => { if (event.key === "Enter") go(path.index, step.index); } } },
      svg("title", {}, `step ${step.index}: ${said(step)}\n${step.observation.slice(0, 300)}`),
      svg("circle", { cx: x, cy: y, r: 7 }));
  }

  function ending(x, y, path, success, selected) {
    const judge = path.judged_success === null ? "" : path.judged_success ? ", judge: done" : ", judge: not done";
    return svg("text", { x, y: y + 4, class: `ending ${success ? "solved" : "failed"}${selected ? " counts" : ""}` },
      `${success ? "✓" : "✗"} ${agentx.words(path.outcome)}, reward ${agentx.share(path.reward)}${judge}${selected ? " · counts" : ""}`);
  }

  /** The first step at which a path does something else than the one before it. */
  function parting(path, before) {
    if (!before) return -1;
    const done = step => step.executed || step.candidates[step.chosen].action || "";
    const i = path.steps.findIndex((step, k) => k >= before.steps.length || done(step) !== done(before.steps[k]));
    return i;
  }

  function paths(episode, threshold, go) {
    const parts = [];
    let width = 0;
    const middle = TOP + (episode.paths.length - 1) * HIGH / 2;
    episode.paths.forEach((path, row) => {
      const y = TOP + row * HIGH;
      const selected = path.index === episode.selected;
      const x = i => LEFT + 34 + i * WIDE;
      const line = [curve(LEFT, middle, x(0), y)];
      path.steps.forEach((_, i) => { if (i) line.push(`M${x(i - 1)},${y} L${x(i)},${y}`); });
      parts.push(svg("path", { class: `edge${selected ? " counts" : ""}`, d: line.join(" ") }));
      parts.push(svg("text", { x: 2, y: y + 4, class: "label" }, `path ${path.index}`));
      const leaves = parting(path, episode.paths[row - 1]);
      path.steps.forEach((step, i) => {
        const at = [i ? x(i - 1) : x(0) - WIDE * 0.7, i ? y : (y * 2 + middle) / 3];
        let others = 0;
        step.candidates.forEach((candidate, k) => {
          if (k === step.chosen) return;
          others += 1;
          const dy = (others % 2 ? 1 : -1) * (13 + 8 * Math.floor((others - 1) / 2));
          parts.unshift(svg("path", { class: "edge other", d: curve(at[0], y, x(i) - 4, y + dy) }));
          parts.push(svg("circle", { class: `candidate${candidate.duplicate ? " again" : ""}`, cx: x(i) - 4, cy: y + dy, r: 3.5 },
            svg("title", {}, `not taken${candidate.duplicate ? " (the same again)" : ""}: ${candidate.action === null ? candidate.reply : candidate.action}`)));
        });
        const changed = step.subtask !== null && (i === 0 || path.steps[i - 1].subtask !== step.subtask);
        if (changed) {
          parts.push(svg("text", { x: x(i), y: y - 15, class: "subtask" },
            svg("title", {}, path.subtasks[step.subtask] || ""), `${step.subtask + 1}`));
        }
        parts.push(node(x(i), y, step, path, go, step.candidates.length > 1 ? " picked" : ""));
        if (step.subtask_done) parts.push(svg("text", { x: x(i), y: y + 24, class: "done" }, "✓"));
        if (i === leaves) {
          parts.push(svg("path", { class: "parting", d: `M${x(i) - 12},${y - 6} l4,-4 l-4,-4 l-4,4 z` }, svg("title", {}, "does something else than the path before from here on")));
        }
      });
      const end = x(Math.max(0, path.steps.length - 1)) + 16;
      parts.push(ending(end, y, path, path.reward >= threshold, selected));
      width = Math.max(width, end + 430);
    });
    parts.push(svg("circle", { class: "start", cx: LEFT, cy: middle, r: 9 }, svg("title", {}, "every path starts from the same initial state")));
    return [parts, width, TOP + (episode.paths.length - 1) * HIGH + 36];
  }

  function states(episode, threshold, go) {
    const children = new Map();
    for (const path of episode.paths) {
      if (path.parent === null) continue;
      if (!children.has(path.parent)) children.set(path.parent, []);
      children.get(path.parent).push(path);
    }
    const best = new Set();
    const byIndex = new Map(episode.paths.map(path => [path.index, path]));
    for (let at = byIndex.get(episode.selected); at; at = at.parent === null ? null : byIndex.get(at.parent)) best.add(at.index);
    const spot = new Map();
    let leaf = 0;
    let deepest = 0;
    // Each state below its parent, a parent in the middle of its children; without recursion, whose depth is limited.
    const order = [];
    const open = episode.paths.filter(path => path.parent === null).map(path => [path, 0]).reverse();
    while (open.length) {
      const [path, depth] = open.pop();
      order.push([path, depth]);
      deepest = Math.max(deepest, depth);
      for (const child of [...(children.get(path.index) || [])].reverse()) open.push([child, depth + 1]);
    }
    for (const [path, depth] of [...order].reverse()) {
      const below = (children.get(path.index) || []).map(child => spot.get(child.index)[1]);
      const y = below.length ? (Math.min(...below) + Math.max(...below)) / 2 : -(leaf++) * 30;
      spot.set(path.index, [LEFT + depth * 72, y]);
    }
    const parts = [];
    for (const place of spot.values()) place[1] += TOP + (leaf - 1) * 30;
    for (const [path] of order) {
      const [x, y] = spot.get(path.index);
      const from = path.parent === null ? null : spot.get(path.parent);
      if (from) parts.unshift(svg("path", { class: `edge${best.has(path.index) ? " counts" : ""}`, d: curve(from[0], from[1], x, y) }));
      if (!path.steps.length) {
        parts.push(svg("circle", { class: "start", cx: x, cy: y, r: 9 }, svg("title", {}, "initial state")));
        continue;
      }
      parts.push(node(x, y, path.steps[0], path, go, best.has(path.index) ? " picked" : ""));
      if (path.judged_score !== null) parts.push(svg("text", { x: x + 11, y: y - 6, class: "label" }, agentx.share(path.judged_score)));
      if (path.index === episode.selected) parts.push(ending(x + 12, y + 8, path, path.reward >= threshold, true));
    }
    return [parts, LEFT + deepest * 72 + 440, TOP * 2 + Math.max(0, leaf - 1) * 30];
  }

  /** The drawing of an episode; `go(path, step)` is called when a step is chosen. */
  agentx.drawTree = function (episode, threshold, go) {
    const isTree = episode.paths.some(path => path.parent !== null);
    const [parts, width, height] = (isTree ? states : paths)(episode, threshold, go);
    return svg("svg", { class: "tree", width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `search tree with ${episode.paths.length} ${isTree ? "states" : "paths"}` }, parts);
  };
  agentx.parting = parting;
})();
