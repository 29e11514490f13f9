import { startFleetForm } from "../fleet/form.js";
import { startFleetView } from "../fleet/view.js";

if (document.body.dataset.id) startFleetView(document.body.dataset.id);
else startFleetForm();
