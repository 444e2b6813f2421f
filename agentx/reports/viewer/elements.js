// Elements made node by node: text only ever becomes a text node, so that nothing a model wrote is read as markup.
"use strict";
var agentx = {};
(function () {
  const SVG = "http://www.w3.org/2000/svg";
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

  /** Control and direction characters, which could turn a line around, made visible. */
  agentx.printable = text => String(text).replace(HIDDEN, c => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

  function fill(node, options, children) {
    for (const [name, value] of Object.entries(options || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "on") for (const [event, call] of Object.entries(value)) node.addEventListener(event, call);
      else if (name === "data") for (const [key, item] of Object.entries(value)) node.dataset[key] = item;
      else node.setAttribute(name, value === true ? "" : agentx.printable(value));
    }
    for (const child of children.flat()) {
      if (child === null || child === undefined || child === false || child === "") continue;
      node.append(child instanceof Node ? child : document.createTextNode(agentx.printable(child)));
    }
    return node;
  }

  /** el("p", {class: "note", on: {click}}, "text", otherElement …) */
  agentx.el = (tag, options, ...children) => fill(document.createElement(tag), options, children);
  agentx.svg = (tag, options, ...children) => fill(document.createElementNS(SVG, tag), options, children);
  agentx.number = value => value === null || value === undefined ? "–" : Number(value).toLocaleString("en-US");
  agentx.share = value => String(Math.round(1000 * value) / 1000);
  agentx.words = name => String(name).replace(/_/g, " ");
})();
