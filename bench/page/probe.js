// Runs in the page before anything of its own: notes layout shifts, the first paint, and when a pack's row changed.
(() => {
  const seen = { shifts: [], rows: [], paint: null };
  window.__seen = seen;
  const nameOf = (node) => {
    if (!node || node.nodeType !== 1) return node?.parentElement ? nameOf(node.parentElement) : "?";
    const classes = [...node.classList].slice(0, 2).map((word) => `.${word}`).join("");
    return `${node.tagName.toLowerCase()}${node.id ? `#${node.id}` : ""}${classes}`;
  };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      const from = entry.sources.map((source) => `${nameOf(source.node)} ${Math.round(source.previousRect.y)}→${Math.round(source.currentRect.y)}`);
      seen.shifts.push({ value: entry.value, at: entry.startTime, from });
    }
  }).observe({ type: "layout-shift", buffered: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.name === "first-contentful-paint") seen.paint = entry.startTime;
  }).observe({ type: "paint", buffered: true });
  window.__watchRows = () => {
    const changed = new Set();
    let asked = false;
    const stamp = () => {
      asked = false;
      const at = performance.timeOrigin + performance.now();
      for (const name of changed) seen.rows.push([name, at]);
      changed.clear();
    };
    const attributeFilter = ["data-standing", "data-state", "data-group", "data-status", "data-tone"];
    new MutationObserver((records) => {
      for (const { target } of records) {
        const row = target.closest?.("ol.packs > li");
        const name = row?.querySelector(".pack-name")?.textContent ?? row?.dataset.name;
        if (name) changed.add(name.trim());
      }
      if (changed.size && !asked) asked = Boolean(requestAnimationFrame(stamp));
    }).observe(document.body, { subtree: true, attributes: true, attributeFilter });
  };
})();
