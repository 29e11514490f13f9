/** The machines that are remembered. */

import { api } from "../core/api.js";
import { h } from "../core/dom.js";

const { instances } = await api("/instances");
document.getElementById("machines").replaceChildren(...instances.map((machine) => h("li", {}, machine.name)));
