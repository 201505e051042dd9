"use strict";
// Tables sort by the column whose head is clicked; empty cells stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.dataset.way !== "down";
    heads.forEach((other) => delete other.dataset.way);
    head.dataset.way = down ? "down" : "up";
    const value = (row) => {
      const cell = row.cells[column]; // a bag that failed has fewer
      const text = cell?.dataset.value ?? cell?.textContent.trim() ?? "";
      return text === "" ? null : isNaN(text) ? text : Number(text);
    };
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      const order = typeof x === "string" ? -x.localeCompare(y) : x - y;
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  }));
}
// The film: pictures that follow each other at the recorded pace, or under the slider.
for (const film of document.querySelectorAll(".film")) {
  const frames = JSON.parse(film.querySelector("script").textContent);
  const [image, slider, button, said] = ["img", "input", "button", "output"].map((name) => film.querySelector(name));
  let timer = null;
  const show = (number) => {
    const frame = frames[number];
    image.src = frame.picture;
    said.textContent = frame.said;
    slider.value = number;
  };
  const stop = () => { clearTimeout(timer); timer = null; button.textContent = "Play"; };
  const step = () => {
    const next = (Number(slider.value) + 1) % frames.length;
    show(next);
    timer = setTimeout(step, 1000 * Math.min(1, Math.max(0.02, frames[next].lasts)));
  };
  button.addEventListener("click", () => {
    if (timer) { stop(); } else { button.textContent = "Pause"; step(); }
  });
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  show(0);
}
