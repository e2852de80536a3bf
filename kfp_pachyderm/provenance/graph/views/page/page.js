"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 230, HEIGHT = 58, THUMB = 46;
  // dagre's best ranking takes seconds from some hundred nodes on
  const SLOW = 100;
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const graph = at("graph"), view = at("view"), details = at("details"), search = at("search");
  const signs = { failed: "✗", cached: "↺", unknown: "?" };

  function drawn(name, attributes, ...children) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function cut(text, letters) {
    const all = Array.from(text);
    return all.length > letters ? all.slice(0, letters - 1).join("") + "…" : text;
  }

  // ---- layout

  function laidOut() {
    const found = new dagre.graphlib.Graph();
    const ranker = data.nodes.length > SLOW ? "longest-path" : "network-simplex";
    found.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 70, marginx: 20, marginy: 20, ranker });
    found.setDefaultEdgeLabel(() => ({}));
    data.nodes.forEach((_, number) => found.setNode(String(number), { width: WIDTH, height: HEIGHT }));
    for (const [from, to] of data.edges) found.setEdge(String(from), String(to));
    dagre.layout(found);
    return found;
  }

  function curve(points) {
    let path = `M${points[0].x} ${points[0].y}`;
    for (let i = 1; i < points.length - 1; i++) {
      const here = points[i], next = points[i + 1];
      const end = i === points.length - 2 ? next : { x: (here.x + next.x) / 2, y: (here.y + next.y) / 2 };
      path += `Q${here.x} ${here.y} ${end.x} ${end.y}`;
    }
    return path;
  }

  const places = [], boxes = [], edges = [];
  const inputs = data.nodes.map(() => []), outputs = data.nodes.map(() => []);

  function draw() {
    const found = laidOut();
    for (const [from, to] of data.edges) {
      inputs[to].push(from);
      outputs[from].push(to);
      const path = drawn("path", { d: curve(found.edge(String(from), String(to)).points) });
      edges.push([from, to, path]);
      at("edges").append(path);
    }
    data.nodes.forEach((node, number) => {
      const place = found.node(String(number));
      places.push(place);
      boxes.push(box(node, number, place));
    });
    // read from left to right, also by the Tab key
    const order = boxes.map((_, number) => number).sort((a, b) => places[a].x - places[b].x || places[a].y - places[b].y);
    at("nodes").append(...order.map((number) => boxes[number]));
  }

  function box(node, number, place) {
    const left = place.x - WIDTH / 2, top = place.y - HEIGHT / 2;
    const letters = node.pictures.length ? 20 : 27;
    const sign = signs[node.look] ? signs[node.look] + " " : "";
    const made = drawn("g", {
      class: `node ${node.look}${node.root ? " root" : ""}`, tabindex: "0", role: "button", transform: `translate(${left} ${top})`,
      "aria-label": `${node.title}, ${node.look}, ${node.state}, ${node.commit}`, "data-commit": node.commit,
    },
      drawn("title", {}, `${node.title}\n${node.commit}\n${node.facts}`),
      drawn("rect", { class: "box", width: WIDTH, height: HEIGHT, rx: node.look === "source" ? HEIGHT / 2 : 6 }),
      drawn("text", { class: "title", x: 14, y: 20 }, cut(sign + node.title, letters)),
      drawn("text", { class: "soft", x: 14, y: 35 }, cut(node.short, letters + 6)),
      drawn("text", { class: "soft", x: 14, y: 49 }, cut(node.facts, letters + 6)));
    if (node.pictures.length) {
      const x = WIDTH - THUMB - (node.look === "source" ? 16 : 6);
      made.append(drawn("image", { x, y: 6, width: THUMB, height: THUMB, href: node.pictures[0].data }));
    }
    made.addEventListener("click", () => { if (!moved) open(number); });
    made.addEventListener("focus", () => { focused = number; });
    return made;
  }

  // ---- details

  let focused = 0, opened = -1;

  function list(title, rows) {
    const made = element("dl", {});
    for (const [name, value] of rows) made.append(element("dt", {}, name), element("dd", {}, value));
    return rows.length ? [...(title ? [element("h3", {}, title)] : []), made] : [];
  }

  function links(title, numbers) {
    const made = element("ul", {});
    for (const number of numbers) {
      const button = element("button", {}, `${data.nodes[number].title}: ${data.nodes[number].short}`);
      button.addEventListener("click", () => go(number, true));
      made.append(element("li", {}, button));
    }
    return numbers.length ? [element("h3", {}, title), made] : [];
  }

  function files(node) {
    const made = element("ul", {});
    for (const [path, size] of node.files) made.append(element("li", {}, `${path} (${size})`));
    if (node.more) made.append(element("li", {}, node.more));
    return node.files.length || node.more ? [element("h3", {}, "Files"), made] : [];
  }

  function pictures(node) {
    return node.pictures.map(({ path, data: source }) =>
      element("figure", {}, element("img", { src: source, alt: path }), element("figcaption", {}, path)));
  }

  function open(number) {
    const node = data.nodes[number];
    const close = element("button", { class: "close", title: "close (Escape)" }, "close");
    close.addEventListener("click", shut);
    details.replaceChildren(close, element("h2", {}, node.title), ...pictures(node), ...list("", node.details),
      ...list("Parameters", node.parameters), ...links("Made from", inputs[number]), ...links("Made from it", outputs[number]), ...files(node));
    details.hidden = false;
    details.scrollTop = 0;
    mark(number);
    reveal(number);
  }

  function shut() {
    details.hidden = true;
    const last = opened;
    mark(-1);
    if (last >= 0) boxes[last].focus({ preventScroll: true });
  }

  function mark(number) {
    opened = number;
    boxes.forEach((one, other) => one.classList.toggle("open", other === number));
    for (const [from, to, path] of edges) path.classList.toggle("near", from === number || to === number);
  }

  // ---- moving about

  const seen = { x: 0, y: 0, scale: 1 };
  let moved = false;

  function show() { view.setAttribute("transform", `translate(${seen.x} ${seen.y}) scale(${seen.scale})`); }

  function centre(number) {
    const { width, height } = graph.getBoundingClientRect();
    seen.x = width / 2 - places[number].x * seen.scale;
    seen.y = height / 2 - places[number].y * seen.scale;
    show();
  }

  function zoom(factor, x, y) {
    const { width, height } = graph.getBoundingClientRect();
    const px = x ?? width / 2, py = y ?? height / 2;
    const scale = Math.min(Math.max(seen.scale * factor, 0.02), 4);
    seen.x = px - (px - seen.x) * scale / seen.scale;
    seen.y = py - (py - seen.y) * scale / seen.scale;
    seen.scale = scale;
    show();
  }

  function fit(least) {
    const { width, height } = graph.getBoundingClientRect();
    const right = Math.max(...places.map((one) => one.x)) + WIDTH, bottom = Math.max(...places.map((one) => one.y)) + HEIGHT;
    const scale = Math.min(width / right, height / bottom, 1.2);
    if (scale < least) {  // too small to be read: what was asked for, in a size that can be
      seen.scale = least;
      const root = data.nodes.findIndex((one) => one.root);
      centre(root);
      seen.x += (data.down ? -1 : 1) * (width / 2 - WIDTH);
      show();
      return;
    }
    seen.scale = scale;
    seen.x = (width - (right - WIDTH / 2) * scale) / 2;
    seen.y = (height - (bottom - HEIGHT / 2) * scale) / 2;
    show();
  }

  function reveal(number) {
    const { width, height } = graph.getBoundingClientRect();
    const x = places[number].x * seen.scale + seen.x, y = places[number].y * seen.scale + seen.y;
    const across = WIDTH / 2 * seen.scale + 12, down = HEIGHT / 2 * seen.scale + 12;
    // no farther than it takes: what is around it stays in view
    seen.x += Math.max(across - x, 0) + Math.min(width - across - x, 0);
    seen.y += Math.max(down - y, 0) + Math.min(height - down - y, 0);
    show();
  }

  function go(number, opens) {
    boxes[number].focus({ preventScroll: true });
    if (opens || !details.hidden) open(number);
    else reveal(number);
  }

  function nearest(numbers) {
    const from = places[focused];
    return numbers.reduce((best, one) =>
      best < 0 || Math.abs(places[one].y - from.y) < Math.abs(places[best].y - from.y) ? one : best, -1);
  }

  function beside(direction) {
    const from = places[focused];
    const column = places.map((_, number) => number).filter((one) =>
      Math.abs(places[one].x - from.x) < WIDTH && (places[one].y - from.y) * direction > 1);
    return nearest(column);
  }

  const steps = {
    ArrowLeft: () => nearest(inputs[focused]), ArrowRight: () => nearest(outputs[focused]),
    ArrowUp: () => beside(-1), ArrowDown: () => beside(1),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { if (document.activeElement === search) clear(); shut(); return; }
    if (document.activeElement === search) { if (event.key === "Enter") { next(event.shiftKey ? -1 : 1); event.preventDefault(); } return; }
    const onNode = document.activeElement?.classList.contains("node");
    if (event.key === "/") search.focus();
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit(0);
    else if (onNode && (event.key === "Enter" || event.key === " ")) open(focused);
    else if (steps[event.key] && (onNode || document.activeElement === document.body)) {
      const to = onNode ? steps[event.key]() : data.nodes.findIndex((one) => one.root);
      if (to >= 0) go(to, false);
    } else return;
    event.preventDefault();
  });

  graph.addEventListener("wheel", (event) => {
    event.preventDefault();
    const corner = graph.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - corner.left, event.clientY - corner.top);
  }, { passive: false });
  graph.addEventListener("pointerdown", (event) => {
    const start = { x: event.clientX - seen.x, y: event.clientY - seen.y, px: event.clientX, py: event.clientY };
    moved = false;
    const drag = (now) => {
      if (Math.hypot(now.clientX - start.px, now.clientY - start.py) > 4) moved = true;
      if (!moved) return;
      graph.classList.add("dragged");
      seen.x = now.clientX - start.x;
      seen.y = now.clientY - start.y;
      show();
    };
    const end = () => {
      window.removeEventListener("pointermove", drag);
      graph.classList.remove("dragged");
    };
    window.addEventListener("pointermove", drag);
    window.addEventListener("pointerup", end, { once: true });
    window.addEventListener("pointercancel", end, { once: true });
  });
  at("in").addEventListener("click", () => zoom(1.25));
  at("out").addEventListener("click", () => zoom(0.8));
  at("fit").addEventListener("click", () => fit(0));

  // ---- search

  const words = data.nodes.map((one) => [one.title, one.look, ...one.details.flat(), ...one.parameters.flat(), ...one.files.map((file) => file[0])].join("\n").toLowerCase());
  let hits = [], current = -1;

  function clear() { search.value = ""; find(); }

  function find() {
    const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    hits = wanted.length ? words.flatMap((text, number) => wanted.every((one) => text.includes(one)) ? [number] : []) : [];
    hits.sort((a, b) => places[a].x - places[b].x || places[a].y - places[b].y);
    current = -1;
    graph.classList.toggle("searched", wanted.length > 0);
    const found = new Set(hits);
    boxes.forEach((one, number) => one.classList.toggle("hit", found.has(number)));
    at("hits").textContent = wanted.length ? `${hits.length} of ${data.nodes.length}` : "";
    if (hits.length) centre(hits[0]);
  }

  function next(direction) {
    if (!hits.length) return;
    current = (current + direction + hits.length) % hits.length;
    centre(hits[current]);
    open(hits[current]);
    at("hits").textContent = `${current + 1} of ${hits.length}`;
  }

  search.addEventListener("input", find);

  // ---- begin

  const said = { source: "data that somebody put", step: "a KFP step", gathered: "gathered for one input", cached: "from an earlier run (↺)", failed: "failed (✗)", pipeline: "a pipeline of others", unknown: "could not be looked at (?)" };
  for (const [look, text] of Object.entries(said)) {
    if (!data.nodes.some((one) => one.look === look)) continue;
    const sample = drawn("svg", { class: `node ${look}`, viewBox: "0 0 32 20", "aria-hidden": "true" },
      drawn("rect", { class: "box", x: 2, y: 2, width: 28, height: 16, rx: look === "source" ? 8 : 3 }));
    at("legend").append(element("li", {}, sample, text));
  }
  // the page is there before the layout, which takes its time
  requestAnimationFrame(() => setTimeout(() => {
    draw();
    at("busy").hidden = true;
    fit(0.75);
    document.body.dataset.ready = "true";
  }));
})();
