/** What is seen when the page is not: the title and the icon in the tab. */

import { readable } from "./dom.js";
import { notifyBrowser, notifyState, switchNotify } from "./notify.js";

const icon = () => document.getElementById("favicon");
const plain = document.title;
let drawn = "";

/** Percent (0–100) and a tone ("live", "good", "bad", "warn", "ask") into title and icon. */
export function showInTab(percent, tone, name) {
  const label = tone === "live" ? `${Math.floor(percent)} %` : { good: "✓", warn: "!", bad: "✗", ask: "?" }[tone] ?? "";
  const title = readable([label, name, plain.split(" · ").at(-1)].filter(Boolean).join(" · "));
  if (document.title !== title) document.title = title;
  const now = `${tone} ${Math.floor(percent / 5)}`;
  if (now !== drawn) draw(percent, tone);
  drawn = now;
}

function draw(percent, tone) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  const colour = { live: "#1f6feb", good: "#1a8f4a", bad: "#d13438", warn: "#c77700", ask: "#c77700" }[tone] ?? "#7a8595";
  pen.lineWidth = 11;
  pen.strokeStyle = "#9aa5b440";
  ring(pen, 1);
  pen.strokeStyle = colour;
  ring(pen, tone === "live" ? Math.max(percent / 100, 0.03) : 1);
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(32, 32, tone === "live" ? 8 : 16, 0, 7);
  pen.fill();
  icon().type = "image/png";
  icon().href = canvas.toDataURL("image/png");
}

function ring(pen, part) {
  pen.beginPath();
  pen.arc(32, 32, 25, -Math.PI / 2, -Math.PI / 2 + part * 2 * Math.PI);
  pen.stroke();
}

export const canAsk = () => notifyState() === "off";
export const askToNotify = async () => (await switchNotify(true)) === "on";
export const notifyEnd = (tag, title, body) => notifyBrowser(title, body, { tag });
