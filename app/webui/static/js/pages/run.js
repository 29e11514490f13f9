import { carried } from "../core/api.js";
import { painted } from "../core/paint.js";
import { RunPage } from "../run/page.js";

await painted();
const refs = Object.fromEntries([...document.querySelectorAll("[data-ref]")].map((node) => [node.dataset.ref, node]));
new RunPage(document.body.dataset.id, refs, carried()).start();
