/** Files that are dropped anywhere on the page. */

import { setHidden } from "../core/dom.js";

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

/** `dropped(files)`: all of them. */
export function watchDrops(dropped) {
  const hint = document.getElementById("drop-here");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setHidden(hint, false);
  });
  document.addEventListener("dragleave", (event) => !event.relatedTarget && setHidden(hint, true));
  document.addEventListener("drop", (event) => {
    setHidden(hint, true);
    if (!hasFiles(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) dropped(event.dataTransfer.files);
  });
}
