import { carried } from "../core/api.js";
import { TaskView } from "../task/view.js";

new TaskView(document.querySelector("[data-task]"), { initial: carried() }).start();
