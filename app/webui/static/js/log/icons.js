/** The few pictures of the log's buttons. */

const SPACE = "http://www.w3.org/2000/svg";
const PATHS = {
  close: "m4 4 8 8m0-8-8 8",
  previous: "m4 10 4-4 4 4",
  next: "m4 6 4 4 4-4",
  wrap: "M2.5 4h11M2.5 8h8.25a2 2 0 0 1 0 4H8m1.6-1.6L8 12l1.6 1.6M2.5 12H5",
  copy: "M5.5 5.5v-3h8v8h-3m-8-5h8v8h-8z",
  download: "M8 2.5v7.5m-3-3 3 3 3-3M2.5 13.5h11",
  top: "M3 3h10M8 13V6M5 9l3-3 3 3",
  bottom: "M3 13h10M8 3v7M5 7l3 3 3-3",
  find: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9Zm3.3-1.2 3.2 3.2",
};

export function icon(name) {
  const svg = document.createElementNS(SPACE, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "log-icon");
  const path = document.createElementNS(SPACE, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
